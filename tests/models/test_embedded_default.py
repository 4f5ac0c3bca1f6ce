"""The model that comes with the package: small, readable by others, and really able to answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from steelyard import Request, open_model
from steelyard.data import demo
from steelyard.models.embedded import DEFAULT, Embedded


@pytest.fixture(scope="module")
def model() -> Embedded:
    return Embedded(max_tokens=96)


def rows(file: Path, number: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()[:number]]


def share(found: Sequence[bool]) -> float:
    return sum(found) / len(found)


def test_it_is_what_embedded_opens(model: Embedded) -> None:
    opened = open_model("embedded")
    assert isinstance(opened, Embedded)
    assert opened.name == "embedded" and opened.chat
    assert opened.identity()["fingerprint"] == model.identity()["fingerprint"]
    assert sum(file.stat().st_size for file in DEFAULT.iterdir()) < 6 * 2**20
    assert "held-out" in (DEFAULT / "README.md").read_text()


@pytest.mark.parametrize("chat", [False, True])
def test_it_solves_word_problems(model: Embedded, chat: bool) -> None:
    asked = rows(demo.ARITHMETIC, 80)
    prompts = [f"Question: {row['question']}\nAnswer:" for row in asked]
    said = model.batch(
        [Request("", [{"role": "user", "content": text}] if chat else text) for text in prompts]
    )
    right = [
        response.text.rpartition("#### ")[2] == row["answer"].rpartition("#### ")[2]
        for row, response in zip(asked, said)
    ]
    assert share(right) > 0.7
    assert all(response.raw == {"finish": "stop"} for response in said)


def test_worked_examples_do_not_confuse_it(model: Embedded) -> None:
    shots = "".join(
        f"Question: {row['question']}\nAnswer: {row['answer']}\n\n" for row in rows(demo.TRAIN, 3)
    )
    asked = rows(demo.ARITHMETIC, 40)
    params = {"stop": ["\n\nQuestion"]}
    said = model.batch(
        [Request("", f"{shots}Question: {row['question']}\nAnswer:", params=params) for row in asked]
    )
    right = [
        response.text.rpartition("#### ")[2].strip() == row["answer"].rpartition("#### ")[2]
        for row, response in zip(asked, said)
    ]
    assert share(right) > 0.6


def test_it_finds_the_right_option_more_often_than_chance(model: Embedded) -> None:
    asked = rows(demo.CHOICE, 200)
    said = model.batch(
        [
            Request(
                "", f"Question: {row['question']}\nAnswer:", choices=[f" {one}" for one in row["choices"]]
            )
            for row in asked
        ]
    )
    likeliest = [max(range(4), key=list(response.scores or ()).__getitem__) for response in said]
    assert share([place == row["answer"] for place, row in zip(likeliest, asked)]) > 0.6


def test_transformers_reads_it_and_answers_alike(model: Embedded) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    network = AutoModelForCausalLM.from_pretrained(DEFAULT, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(DEFAULT)
    for row in rows(demo.ARITHMETIC, 2):
        turns = [{"role": "user", "content": row["question"]}]
        inputs = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt")
        out = network.generate(**inputs, max_new_tokens=96, do_sample=False)
        theirs = tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        assert model.batch([Request("", turns)])[0].text == theirs  # type: ignore[arg-type]
