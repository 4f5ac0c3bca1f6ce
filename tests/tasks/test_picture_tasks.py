"""Tasks about pictures and documents: what they ask, what they take for an answer."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from steelyard import Response, Sample, open_task
from steelyard.errors import DataError, UsageError
from steelyard.media.images import Image
from steelyard.metrics.scoring import Scorer
from steelyard.tasks.base import take_out
from steelyard.tasks.vision import Shuffled, page_order

PAGES = tuple(Image(f"{n}.png") for n in range(1, 5))


def asked(task: Any, sample: Sample) -> list[Any]:
    prompt: Any = task.prompt(sample, chat=False)
    return [part.data for part in prompt[-1]["content"]]


def scored(task: Any, sample: Sample, text: str) -> dict[str, Any]:
    seen, _ = take_out(task.extract, sample, Response(text=text))
    return Scorer(task.metrics).begin(sample, seen)[0]


def pictured(target: Any = None, *, count: int = 1, asked_: str = "", **meta: Any) -> Sample:
    return Sample("1", asked_, target=target, meta={"images": PAGES[:count], **meta})


def test_short_answers() -> None:
    task = open_task("vqa", data=[])
    sample = pictured(["12 Main St", "12 Main Street"], asked_="Which address?")
    shown = asked(task, sample)
    assert shown[0] is PAGES[0] and shown[1].startswith("Which address?\n")
    scores = scored(task, sample, " 12 main street\n")
    assert (scores["anls"], scores["exact_words"], scores["token_f1"]) == (1, True, 1)
    assert task.answer(sample) == " 12 Main St"
    assert task.by == ("doc_type", "question_type", "language")


def test_charts_let_numbers_be_a_little_off() -> None:
    task = open_task("charts", data=[])
    assert scored(task, pictured("100"), "104")["relaxed"] is True
    assert scored(task, pictured("100"), "110")["relaxed"] is False


def test_fields_are_asked_for_by_the_names_of_the_target() -> None:
    target = {"total": 12.5, "seller": {"name": "Acme"}, "items": [{"name": "Tea"}]}
    task = open_task("fields", data=[])
    assert "total, seller.name, items (a list: name)." in asked(task, pictured(target))[1]
    answer = 'Here:\n```json\n{"total": "12,50", "seller": {"name": "acme"}, "items": []}\n```'
    scores = scored(task, pictured(target), answer)
    assert (scores["fields.field.total"], scores["fields.field.items.name"]) == (1, 0)
    assert scored(task, pictured(target), task.answer(pictured(target)))["fields.whole"] is True


def test_names_of_fields_from_elsewhere() -> None:
    task = open_task("fields", data=[], names="total, date")
    assert "fields of the document: total, date." in asked(task, pictured({"x": 1}))[1]
    task = open_task("fields", data=[], names_column="wanted")
    for wanted in ("a,b", ["a", "b"]):
        assert ": a, b." in asked(task, pictured({"x": 1}, wanted=wanted))[1]
    with pytest.raises(DataError, match="no names of fields"):
        task.question(pictured({"x": 1}))


def test_kinds_of_documents() -> None:
    task = open_task("pages", data=[], labels="invoice, bank statement, statement")
    assert "invoice, bank statement, statement?" in asked(task, pictured("invoice"))[1]
    for text in ("Bank\nstatement", "It is no invoice but a **bank statement**."):
        assert scored(task, pictured("bank statement"), text)["accuracy"] is True
    assert scored(task, pictured("statement"), "bank statement")["accuracy"] is False
    assert scored(task, pictured("invoice"), "I cannot tell")["accuracy"] is False
    task = open_task("pages", data=[])
    own = Sample("1", "", "cat", ("cat", "dog"), {"images": PAGES[:1]})
    assert "cat, dog?" in asked(task, own)[1]
    assert scored(task, own, "Cat")["accuracy"] is True
    with pytest.raises(DataError, match="no labels"):
        task.question(pictured("cat"))


def test_pages_are_shown_with_their_numbers() -> None:
    task = open_task("page_order", data=[])
    shown = asked(task, pictured("2, 1", count=2))
    assert shown[:4] == ["Page 1:\n", PAGES[0], "\nPage 2:\n", PAGES[1]]
    scores = scored(task, pictured("2, 3, 1", count=3), "Page 2, then page 3, then page 1.")
    assert (scores["kendall"], scores["spearman"], scores["pages_exact"]) == (1, 1, True)
    assert scored(task, pictured([2, 3, 1], count=3), "1 2 3")["pages_exact"] is False
    assert task.answer(pictured([2, 3, 1])) == " 2, 3, 1"
    own = open_task("page_order", data=[], template="{images}Which order?")
    assert asked(own, pictured("2, 1", count=2)) == [*PAGES[:2], "Which order?"]


def test_pages_in_order_are_shuffled_and_the_target_is_the_way_back() -> None:
    rows = [Sample(str(n), "", meta={"images": PAGES}) for n in range(200)]
    task = open_task("page_order", data=rows)
    targets = Counter()
    for sample in task.data:
        order = [int(page) - 1 for page in sample.target.split(", ")]
        assert [sample.meta["images"][page] for page in order] == list(PAGES)
        targets[sample.target] += 1
    assert len(targets) == 24
    assert [s.target for s in task.data] == [s.target for s in task.data]
    assert [s.target for s in open_task("page_order", data=rows[:50]).data] == [
        sample.target for sample, _ in zip(task.data, range(50))
    ]
    other = open_task("page_order", data=rows, shuffle_seed=1)
    assert [s.target for s in other.data] != [s.target for s in task.data]
    assert other.identity()["data"] != task.identity()["data"]
    assert other.data.size() == 200  # type: ignore[attr-defined]


def test_pages_that_have_an_order_are_left_alone() -> None:
    sample = pictured("2, 1", count=2)
    assert next(iter(open_task("page_order", data=[sample]).data)) is sample
    assert next(iter(open_task("page_order", data=[sample], shuffle="no").data)) is sample
    (turned,) = page_order(data=[sample], shuffle="yes", shuffle_seed=3).data
    assert set(turned.meta["images"]) == set(PAGES[:2])
    with pytest.raises(UsageError, match="auto, yes or no"):
        open_task("page_order", data=[sample], shuffle="maybe")
    assert Shuffled(iter([sample])).size() is None
    assert (Shuffled([sample]).skipped, Shuffled([sample]).bad_rows) == (0, [])


def test_transcripts() -> None:
    task = open_task("transcribe", data=[])
    scores = scored(task, pictured("Total 12\nThank you"), "Total 12\nThank you\n")
    assert (scores["cer"], scores["wer"]) == ([0, 18], [0, 4])


def test_all_of_it_can_be_overridden() -> None:
    task = open_task(
        "vqa", data=[], template="{input}!", metrics=["exact"], extract="number", params={"max_tokens": 3}
    )
    assert asked(task, pictured(asked_="What"))[1] == "What!"
    assert scored(task, pictured("7"), "it is 7")["exact"] is True
    assert task.params == {"max_tokens": 3}


def test_a_task_file_names_pictures_from_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    rows = "[{question: 'Which?', image: a.png}, {question: 'And?'}]"
    (tmp_path / "inner" / "look.yaml").write_text(
        f"task_id: look\ninputs: {rows}\nexpected_outputs: ['a', 'b']\nmetrics: [exact]\n"
    )
    (tmp_path / "inner" / "rows.jsonl").write_text('{"question": "Q", "image": "a.png", "answer": "a"}\n')
    (tmp_path / "inner" / "file.yaml").write_text("dataset: rows.jsonl\nmetrics: [exact]\n")
    task = open_task(tmp_path / "inner" / "look.yaml")
    first, second = task.data
    (image, words) = asked(task, first)
    assert (image.path, words) == (tmp_path / "inner" / "a.png", "Which?")
    assert task.prompt(second, chat=False) == "And?"
    assert task.identity() == open_task(tmp_path / "inner" / "look.yaml").identity()
    (sample,) = open_task(tmp_path / "inner" / "file.yaml").data
    assert [part.path.name for part in sample.input["images"]] == ["a.png"]
