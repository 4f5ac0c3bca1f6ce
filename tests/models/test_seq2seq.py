"""Encoder-decoder models: batches answer as transformers answers each request alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_networks import TEXTS, make_network, make_tokenizer, save

torch = pytest.importorskip("torch")

from steelyard.models.huggingface import load_huggingface  # noqa: E402
from steelyard.models.seq2seq import Seq2SeqModel  # noqa: E402
from steelyard.types import Request  # noqa: E402

SHAPES: dict[str, dict[str, Any]] = {
    "t5": {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "initializer_factor": 3.0},
    "bart": {
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "max_position_embeddings": 128,
        "init_std": 0.3,
    },
}
PROMPTS = [text[: 10 + 17 * place] for place, text in enumerate(TEXTS)]


@pytest.fixture(scope="module", params=list(SHAPES))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seq2SeqModel:
    shape = {"vocab_size": 400, "decoder_start_token_id": 0, **SHAPES[request.param]}
    network = make_network(request.param, loader="AutoModelForSeq2SeqLM", **shape)
    folder = save(tmp_path_factory.mktemp(request.param), network, make_tokenizer(pair=True))
    model = load_huggingface(folder, device="cpu", max_tokens=8)
    assert isinstance(model, Seq2SeqModel)
    return model


def ask(prompts: list[str], **fields: Any) -> list[Request]:
    return [Request(str(place), prompt, **fields) for place, prompt in enumerate(prompts)]


def generate_plainly(model: Seq2SeqModel, prompt: str, **options: Any) -> str:
    ids = torch.tensor([model.tokens(prompt, special=True)])
    out = model.network.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, **options)
    return model.text(out[0].tolist())


def test_a_batch_says_what_each_says_alone(model: Seq2SeqModel) -> None:
    responses = model.batch(ask(PROMPTS))
    assert [response.text for response in responses] == [generate_plainly(model, p) for p in PROMPTS]
    assert len({response.text for response in responses}) > 1
    assert all(response.tokens and response.tokens.output for response in responses)


def test_arguments_of_generate_are_passed_on(model: Seq2SeqModel) -> None:
    said = [response.text for response in model.batch(ask(PROMPTS, params={"num_beams": 3}))]
    assert said == [generate_plainly(model, prompt, num_beams=3) for prompt in PROMPTS]


def test_samples_depend_on_their_seed_alone(model: Seq2SeqModel) -> None:
    requests = [Request(str(n), p, params={"temperature": 1.0, "seed": n}) for n, p in enumerate(PROMPTS)]
    together = [response.text for response in model.batch(requests)]
    assert together == [model.batch([request])[0].text for request in requests]


def test_stop_texts_end_an_answer(model: Seq2SeqModel) -> None:
    whole = model.batch(ask(PROMPTS))[3].text
    stop = whole[3:5]
    said = model.batch([Request("0", PROMPTS[3], params={"stop": stop})])[0]
    assert said.text == whole[: whole.index(stop)]
    assert said.raw == {"finish": "stop"}


def test_choices_are_scored_as_targets(model: Seq2SeqModel) -> None:
    choices = ["yes", "no apples at all", "7"]
    responses = model.batch(ask(PROMPTS, choices=choices))
    for prompt, response in zip(PROMPTS, responses):
        expected = []
        for choice in choices:
            labels = torch.tensor([model.tokens(choice, special=False)])
            ids = torch.tensor([model.tokens(prompt, special=True)])
            with torch.no_grad():
                loss = model.network(input_ids=ids, labels=labels).loss
            expected.append(float(-loss) * labels.shape[1])
        assert response.scores == pytest.approx(expected, abs=1e-3)


def test_a_bad_request_fails_alone(model: Seq2SeqModel) -> None:
    requests = [Request("0", PROMPTS[0]), Request("1", PROMPTS[0], choices=[]), Request("2", {"text": "a"})]
    first, second, third = model.batch(requests)
    assert first.error is None
    assert "no choices" in (second.error or "")
    assert "takes a text" in (third.error or "")


def test_a_prompt_that_is_too_long_is_refused(tmp_path: Path) -> None:
    shape = {"vocab_size": 400, "decoder_start_token_id": 0, **SHAPES["bart"]}
    network = make_network("bart", loader="AutoModelForSeq2SeqLM", **shape)
    model = load_huggingface(save(tmp_path, network, make_tokenizer(pair=True)), device="cpu")
    long, short = model.batch(ask(["a b " * 200, "a"], params={"max_tokens": 2}))  # type: ignore[attr-defined]
    assert "128 positions" in long.error
    assert short.error is None
