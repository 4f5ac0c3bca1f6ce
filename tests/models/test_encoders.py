"""Classifiers, masked language models, embeddings: as transformers computes them one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_networks import TEXTS, make_network, make_tokenizer, save

torch = pytest.importorskip("torch")

from steelyard.errors import ModelError, UsageError  # noqa: E402
from steelyard.models.encoders import Classifier, Embedder, MaskedModel  # noqa: E402
from steelyard.models.huggingface import load_huggingface  # noqa: E402
from steelyard.types import Request  # noqa: E402

SHAPE = {
    "vocab_size": 400,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
}
LABELS = {"id2label": {0: "low", 1: "mid", 2: "high"}, "label2id": {"low": 0, "mid": 1, "high": 2}}

Open = Callable[..., Any]


@pytest.fixture
def open_bert(tmp_path: Path) -> Open:
    def make(loader: str, *, shape: dict[str, Any] | None = None, **options: Any) -> Any:
        network = make_network("bert", loader=loader, **{**SHAPE, **(shape or {})})
        return load_huggingface(save(tmp_path, network, make_tokenizer(pair=True)), device="cpu", **options)

    return make


def ask(prompts: list[Any], **fields: Any) -> list[Request]:
    return [Request(str(place), prompt, **fields) for place, prompt in enumerate(prompts)]


def compute(model: Any, text: str) -> Any:
    with torch.no_grad():
        return model.network(torch.tensor([model.tokens(text, special=True)]))


def test_a_classifier_gives_labels_and_probabilities(open_bert: Open) -> None:
    model = open_bert("AutoModelForSequenceClassification", shape=LABELS)
    assert isinstance(model, Classifier)
    for text, response in zip(TEXTS, model.batch(ask(TEXTS))):
        expected = torch.softmax(compute(model, text).logits[0], dim=-1).tolist()
        assert response.scores == pytest.approx(dict(zip(["low", "mid", "high"], expected)), abs=1e-5)
        assert response.text == max(response.scores, key=response.scores.get)


def test_labels_may_be_called_otherwise(open_bert: Open) -> None:
    model = open_bert(
        "AutoModelForSequenceClassification", shape=LABELS, label_map={"low": "bad", 1: "fair", "2": "good"}
    )
    assert list(model.batch(ask(["a"]))[0].scores) == ["bad", "fair", "good"]
    assert model.identity()["label_map"] == {"low": "bad", "1": "fair", "2": "good"}


def test_of_several_labels_each_has_its_own_probability(open_bert: Open) -> None:
    shape = {**LABELS, "problem_type": "multi_label_classification"}
    model = open_bert("AutoModelForSequenceClassification", shape=shape)
    scores = model.batch(ask([TEXTS[0]]))[0].scores
    assert list(scores.values()) == pytest.approx(
        torch.sigmoid(compute(model, TEXTS[0]).logits[0]).tolist(), abs=1e-5
    )


def test_a_pair_of_texts_is_read_as_one(open_bert: Open) -> None:
    model = open_bert("AutoModelForSequenceClassification", shape=LABELS)
    pairs = [{"text": "He has 7.", "text_pair": text} for text in TEXTS]
    responses = model.batch([*ask(pairs), Request("x", {"premise": "a"})])
    for pair, response in zip(pairs, responses):
        inputs = model.tokenizer(pair["text"], pair["text_pair"], return_tensors="pt")
        with torch.no_grad():
            expected = torch.softmax(model.network(**inputs).logits[0], dim=-1).tolist()
        assert list(response.scores.values()) == pytest.approx(expected, abs=1e-5)
    assert "text and text_pair" in responses[-1].error


def test_a_number_is_no_label(open_bert: Open) -> None:
    with pytest.raises(ModelError, match="gives one number"):
        open_bert("AutoModelForSequenceClassification", shape={"num_labels": 1}, task="classify")


def test_a_mask_is_filled_in(open_bert: Open) -> None:
    model = open_bert("AutoModelForMaskedLM")
    assert isinstance(model, MaskedModel)
    text = "Tom has <mask> apples"
    filled, none, several = model.batch(ask([text, "Tom has apples", "<mask> and <mask>"]))
    ids = model.tokens(text, special=True)
    odds = torch.softmax(compute(model, text).logits[0, ids.index(4)], dim=-1)
    assert filled.text == model.text([int(odds.argmax())]).strip()
    assert max(filled.scores.values()) == pytest.approx(float(odds.max()), abs=1e-5)
    assert "no <mask>" in none.error
    assert several.error is None
    assert several.scores is None


@pytest.mark.parametrize(("prompt", "after"), [("Tom has", ""), ("Tom has<mask> apples", " apples")])
def test_choices_have_a_pseudo_log_likelihood(open_bert: Open, prompt: str, after: str) -> None:
    model = open_bert("AutoModelForMaskedLM")
    choices = [" seven", " 12", " the lazy dog"]
    before = prompt.partition("<mask>")[0]
    response = model.batch(ask(["<mask>", prompt], choices=choices))[1]
    for choice, score, count in zip(choices, response.scores, response.raw["tokens"]):
        ids = model.tokens(before + choice + after, special=True)
        begin = len(model.tokens(before, special=True)) - 1
        assert model.tokens(before, special=True)[:-1] == ids[:begin]
        assert model.tokens(after, special=False) == ids[begin + count : -1]
        expected = 0.0
        for place in range(begin, begin + count):
            masked = torch.tensor([[*ids[:place], 4, *ids[place + 1 :]]])
            with torch.no_grad():
                logs = torch.log_softmax(model.network(masked).logits[0, place], dim=-1)
            expected += float(logs[ids[place]])
        assert score == pytest.approx(expected, abs=1e-4)


def test_a_text_becomes_the_mean_of_its_tokens(open_bert: Open) -> None:
    model = open_bert("AutoModel")
    assert isinstance(model, Embedder)
    vectors = model.embed([*TEXTS, *reversed(TEXTS)])
    assert vectors[: len(TEXTS)] == vectors[: len(TEXTS) - 1 : -1]
    for text, vector in zip(TEXTS, vectors):
        assert vector == pytest.approx(
            compute(model, text).last_hidden_state[0].mean(dim=0).tolist(), abs=1e-5
        )
    assert model.batch(ask(TEXTS))[2].raw == pytest.approx(vectors[2], abs=1e-5)
    with pytest.raises(ModelError, match="128 positions"):
        model.embed(["a b " * 100])


def test_weights_for_another_task_are_refused(open_bert: Open) -> None:
    with pytest.raises(ModelError, match=r"lack .*: for classify it would answer at random"):
        open_bert("AutoModelForMaskedLM", task="classify")
    with pytest.raises(UsageError, match="label_map= is for classify"):
        open_bert("AutoModelForMaskedLM", label_map={"a": "b"})
    assert isinstance(open_bert("AutoModelForMaskedLM", task="embed"), Embedder)
