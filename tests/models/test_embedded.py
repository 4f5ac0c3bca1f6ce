"""The embedded engine against transformers on the same folders, and what a batch may not change."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import TEXTS, write_model, write_tokenizer
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from steelyard.errors import ModelError, UsageError
from steelyard.models.embedded import Embedded
from steelyard.types import Part, Request, Response

torch.set_num_threads(1)

PROMPTS = [
    "The cat",
    "Question: what is 3 + 4? Answer:",
    "A red ball, a blue hat. A red ball, a blue hat. A red",
    "12 dogs ran and 12",
    "a",
]
SHOTS = "Question: what is 3 + 4? Answer: 7\n\nThe cat sat on the mat and 12 dogs ran.\n\n"
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama-tied": ("llama", {"tie_word_embeddings": True, "head_dim": 16}),
    "llama-biased": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama-linear": (
        "llama",
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 5e4, "factor": 2.0}},
    ),
    "llama-3": (
        "llama",
        {
            "head_dim": 32,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 500.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
            },
        },
    ),
    "mistral": ("mistral", {"sliding_window": 7, "head_dim": 12}),
    "qwen2": ("qwen2", {}),
    "qwen2-window": ("qwen2", {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1}),
    "qwen3": ("qwen3", {"head_dim": 16}),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {name: write_model(root / name, kind, **changes) for name, (kind, changes) in KINDS.items()}


@pytest.fixture(scope="module")
def model(folders: dict[str, Path]) -> Embedded:
    return Embedded(folders["llama"], chat=False)


def request(prompt: Any, number: int = 0, **fields: Any) -> Request:
    return Request(str(number), prompt, **fields)


@cache
def network_of(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).requires_grad_(False)


def true_answers(folder: Path, prompts: list[str], count: int) -> list[list[int]]:
    network = network_of(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    answers = []
    for prompt in prompts:
        ids = torch.tensor([tokenizer.encode(prompt).ids])
        out = network.generate(
            ids, max_new_tokens=count, do_sample=False, attention_mask=torch.ones_like(ids)
        )
        answers.append(out[0, ids.shape[1] :].tolist())
    return answers


def true_scores(folder: Path, prompt: str, choices: list[str]) -> list[float]:
    network = network_of(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    begin = len(tokenizer.encode(prompt.rstrip()).ids)
    scores = []
    for choice in choices:
        ids = tokenizer.encode(prompt + choice).ids
        logs = network(torch.tensor([ids])).logits[0].log_softmax(-1)
        scores.append(float(sum(logs[place - 1, ids[place]] for place in range(begin, len(ids)))))
    return scores


@pytest.mark.parametrize("name", KINDS)
def test_it_answers_as_transformers_do(folders: dict[str, Path], name: str) -> None:
    model = Embedded(folders[name], chat=False, max_tokens=12)
    said = model.batch([request(prompt) for prompt in PROMPTS])
    decode = Tokenizer.from_file(str(folders[name] / "tokenizer.json")).decode
    for response, tokens in zip(said, true_answers(folders[name], PROMPTS, 12)):
        assert response.error is None
        assert response.text == decode(tokens)
        assert response.tokens is not None and response.tokens.output == len(tokens)
        assert response.raw == {"finish": "stop" if tokens[-1] == 1 else "length"}


@pytest.mark.parametrize("name", KINDS)
def test_choices_are_as_likely_as_transformers_say(folders: dict[str, Path], name: str) -> None:
    model = Embedded(folders[name], chat=False)
    choices = [" 7", " the mat and", " blue", " a red ball and 12 dogs"]
    asked = [*PROMPTS, "A red ball "]
    for prompt, response in zip(asked, model.batch([request(p, choices=choices) for p in asked])):
        assert response.scores == pytest.approx(true_scores(folders[name], prompt, choices), abs=1e-4)
        assert response.raw["tokens"][0] >= 1
        assert len(response.raw["greedy"]) == 4


@pytest.mark.parametrize("name", ["llama", "mistral", "qwen2-window"])
def test_a_shared_beginning_changes_nothing(folders: dict[str, Path], name: str) -> None:
    model = Embedded(folders[name], chat=False, max_tokens=16)
    prompts = [SHOTS + prompt for prompt in PROMPTS]
    decode = Tokenizer.from_file(str(folders[name] / "tokenizer.json")).decode
    truth = [decode(tokens) for tokens in true_answers(folders[name], prompts, 16)]
    choices = [" 7", " the mat and"]
    # The second time the beginning is known, the third time half of it is.
    for _ in range(2):
        assert [r.text for r in model.batch([request(p) for p in prompts])] == truth
        for prompt, response in zip(prompts, model.batch([request(p, choices=choices) for p in prompts])):
            assert response.scores == pytest.approx(true_scores(folders[name], prompt, choices), abs=1e-4)
    half = [prompt[20:] for prompt in prompts]
    model.batch([request(SHOTS[:30] + text) for text in half])
    assert [r.text for r in model.batch([request(p) for p in prompts])] == truth


def test_a_long_prompt_is_read_in_pieces(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    choices = [" 7", " the mat and 12 dogs", " blue"]
    asked = [request(PROMPTS[2]), request(PROMPTS[0]), request(PROMPTS[2], choices=choices)]
    whole = Embedded(folders["mistral"], chat=False, max_tokens=8).batch(asked)
    monkeypatch.setattr("steelyard.models.llama.network._PASS_TOKENS", 6)
    pieces = Embedded(folders["mistral"], chat=False, max_tokens=8).batch(asked)
    assert [r.text for r in pieces] == [r.text for r in whole]
    assert pieces[2].scores == pytest.approx(whole[2].scores, abs=1e-5)


def test_what_stands_beside_it_does_not_change_an_answer(model: Embedded) -> None:
    params = {"temperature": 1.5, "top_p": 0.9, "top_k": 50, "seed": 3, "max_tokens": 12}
    asked = [request(prompt, place, params=params) for place, prompt in enumerate(PROMPTS)]
    asked += [request(PROMPTS[0], 5, params={"max_tokens": 20}), request(PROMPTS[1], 6, choices=[" 7", " a"])]
    asked += [request(PROMPTS[1], 7, params={**params, "repetition_penalty": 1.4, "min_p": 0.01})]
    together = model.batch(asked)
    for one, response in zip(asked, together):
        alone = model.batch([one])[0]
        assert (alone.text, alone.raw, alone.tokens) == (response.text, response.raw, response.tokens)
        if one.choices:
            assert alone.scores == pytest.approx(response.scores, abs=1e-5)


def test_sampling_follows_the_odds(model: Embedded) -> None:
    ids = model.tokens(PROMPTS[0], special=True)
    states = torch.tensor(true_logits(model, ids))
    odds = states.softmax(-1)
    best = [int(token) for token in odds.argsort(descending=True)[:3]]
    asked = [
        request(PROMPTS[0], seed, params={"temperature": 1.0, "top_k": 3, "seed": seed, "max_tokens": 1})
        for seed in range(1500)
    ]
    texts = [response.text for response in model.batch(asked)]
    kept = odds[best] / odds[best].sum()
    for token, share in zip(best, kept.tolist()):
        text = model.text([token]) if token not in (0, 1) else ""
        found = texts.count(text) / len(texts)
        assert abs(found - share) < 5 * (share * (1 - share) / len(texts)) ** 0.5 + 1e-9
    # So little of the top that only the likeliest is left.
    narrow = [
        request(PROMPTS[0], params={"temperature": 1.0, "top_p": 1e-6, "max_tokens": 8, "seed": s})
        for s in (1, 2)
    ]
    greedy = model.batch([request(PROMPTS[0], params={"max_tokens": 8})])[0].text
    assert [response.text for response in model.batch(narrow)] == [greedy, greedy]


def true_logits(model: Embedded, ids: list[int]) -> list[float]:
    network = network_of(model.path)
    logits: list[float] = network(torch.tensor([ids])).logits[0, -1].tolist()
    return logits


def test_a_stop_text_ends_the_answer_before_it(model: Embedded) -> None:
    whole = model.batch([request(PROMPTS[0], params={"max_tokens": 24})])[0].text
    stop = whole[6:9]
    response = model.batch([request(PROMPTS[0], params={"max_tokens": 24, "stop": [stop, "never there"]})])[0]
    assert response.text == whole[: whole.index(stop)]
    assert response.raw == {"finish": "stop"}
    assert response.tokens is not None and response.tokens.output is not None and response.tokens.output < 24


def test_an_answer_ends_with_the_positions(model: Embedded) -> None:
    prompt = "The cat sat on the mat and 12 dogs ran. " * 40
    ids = model.tokens(prompt, special=True)
    text = model.text(ids[1:250])
    response = model.batch([request(text, params={"max_tokens": 100})])[0]
    assert response.error is None
    assert response.tokens is not None
    assert sum(n or 0 for n in response.tokens) <= 256
    too_long, fine = model.batch([request(prompt), request("a", params={"max_tokens": 1})])
    assert too_long.error is not None and "256 positions" in too_long.error
    assert fine.error is None


def test_an_empty_prompt_begins_with_bos(model: Embedded, tmp_path: Path) -> None:
    assert model.batch([request("", params={"max_tokens": 2})])[0].error is None
    scored = model.batch([request("", choices=["a", " cat"])])[0]
    assert scored.scores is not None and len(scored.scores) == 2


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"prompt": {"image": 1}}, "not a mapping"),
        ({"prompt": "a", "choices": ["a", ""]}, "a choice is empty"),
        ({"prompt": "a", "choices": []}, "no choices"),
        ({"prompt": "a", "params": {"temprature": 1}}, "did you mean temperature"),
        ({"prompt": "a", "params": {"top_p": 2}}, "top_p=2"),
        ({"prompt": "a", "params": {"stop": [""]}}, "stop="),
        ({"prompt": [{"role": "user", "content": [Part("image", b"")]}]}, "takes no image"),
    ],
)
def test_a_bad_request_fails_alone(model: Embedded, bad: dict[str, Any], said: str) -> None:
    wrong, right = model.batch([Request("0", **bad), request("a", params={"max_tokens": 1})])
    assert wrong.error is not None and said in wrong.error
    assert right.error is None


def test_turns_go_through_the_chat_template(folders: dict[str, Path]) -> None:
    model = Embedded(folders["llama"], max_tokens=6)
    assert model.chat
    turns = [{"role": "user", "content": [Part("text", "The "), Part("text", "cat")]}]
    plain = Embedded(folders["llama"], chat=False, max_tokens=6)
    ids = Tokenizer.from_file(str(folders["llama"] / "tokenizer.json")).encode(
        "<s><|user|>The cat</s><|assistant|>", add_special_tokens=False
    )
    said = model.batch([request(turns)])[0]
    assert said.tokens is not None and said.tokens.input == len(ids.ids) == 6
    # The text tokenizer adds one <s> of its own.
    assert said.text == plain.batch([request("<|user|>The cat</s><|assistant|>")])[0].text
    scored = model.batch([request(turns, choices=["mat", "red hat"])])[0]
    assert scored.scores is not None and len(scored.scores) == 2


def test_shards_and_half_precision_are_read(tmp_path: Path) -> None:
    for name, dtype in {"bf16": torch.bfloat16, "f16": torch.float16}.items():
        folder = write_model(tmp_path / name, dtype=dtype, shard="60KB")
        assert len(list(folder.glob("*.safetensors"))) > 2
        said = Embedded(folder, chat=False, max_tokens=10).batch([request(prompt) for prompt in PROMPTS])
        decode = Tokenizer.from_file(str(folder / "tokenizer.json")).decode
        assert [r.text for r in said] == [decode(tokens) for tokens in true_answers(folder, PROMPTS, 10)]


def test_a_folder_that_lacks_something_names_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model folder"):
        Embedded(tmp_path / "nowhere")
    folder = write_model(tmp_path / "model")
    for name in ("tokenizer.json", "model.safetensors", "config.json"):
        kept = (folder / name).read_bytes()
        (folder / name).unlink()
        with pytest.raises(ModelError, match=name):
            Embedded(folder)
        (folder / name).write_bytes(kept[: len(kept) // 2])
        with pytest.raises(ModelError, match=name):
            Embedded(folder)
        (folder / name).write_bytes(kept)
    Embedded(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architectures": ["GPT2LMHeadModel"]}, "GPT2LMHeadModel"),
        ({"hidden_act": "gelu"}, "hidden_act='gelu'"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "yarn"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
    ],
)
def test_what_it_cannot_run_it_says(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    folder = write_model(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(ModelError, match=said) as caught:
        Embedded(folder)
    assert "steelyard[hf]" in str(caught.value)


def test_identity_is_what_shapes_answers(folders: dict[str, Path], tmp_path: Path) -> None:
    base = Embedded(folders["llama"]).identity()
    assert base == Embedded(folders["llama"], batch_size=3, batch_tokens=99).identity()
    assert base != Embedded(folders["llama"], chat=False).identity()
    assert base != Embedded(folders["llama"], max_tokens=9).identity()
    assert base != Embedded(folders["llama"], params={"temperature": 0.5}).identity()
    assert base != Embedded(write_model(tmp_path / "llama", seed=1)).identity()
    json.dumps(base)
    with pytest.raises(UsageError, match="max_tokens"):
        Embedded(folders["llama"], max_tokens=0)


def test_asked_many_at_once_it_answers_each(folders: dict[str, Path]) -> None:
    model = Embedded(folders["llama"], chat=False, max_tokens=5, batch_size=7, batch_tokens=200)
    asked = [request(text * (1 + place % 3), place) for place, text in enumerate(TEXTS * 4)]

    async def ask_all() -> list[Response]:
        return list(await asyncio.gather(*(model.ask(one) for one in asked)))

    said = asyncio.run(ask_all())
    assert [r.text for r in said] == [model.batch([one])[0].text for one in asked]
    model.close()


def test_a_tokenizer_without_template_takes_no_turns(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    write_tokenizer(folder, template=None)
    model = Embedded(folder, max_tokens=2)
    assert not model.chat
    response = model.batch([request([{"role": "user", "content": "a"}])])[0]
    assert response.error is not None and "no chat template" in response.error
