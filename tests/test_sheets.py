"""answers.csv: what came is in it, once, whatever the answers say and however the run ended."""

from __future__ import annotations

import csv
import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from steelyard import LocalModel, Record, Request, Response, Run, Sample, Task, evaluate
from steelyard.errors import StoreError
from steelyard.metrics.text import exact
from steelyard.sheets import Sheet

ODD = [
    "plain",
    'with "quotes" and ; and ,',
    "two\nlines",
    "a return\rin it",
    "both\r\n",
    "",
    " spaces ",
    "=1+1",
    "é 漢 😀",
    "#",
    "\t",
    '"',
    ";",
    "\u2028",
]


class Said(LocalModel):
    """Answers with the odd text of a number; 3 fails."""

    def batch(self, requests: Sequence[Request]) -> list[Response]:
        return [
            Response(error="no")
            if request.prompt == "3"
            else Response(ODD[int(str(request.prompt)) % len(ODD)])
            for request in requests
        ]


def task(count: int = len(ODD)) -> Task:
    return Task(name="odd", data=[Sample(str(n), str(n), str(n)) for n in range(count)], metrics=[exact])


def read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file, delimiter=";", strict=True))


def test_whatever_is_answered_is_read_back(tmp_path: Path) -> None:
    run = evaluate(Said(), task(), out=tmp_path / "r", csv=True)
    head, *rows = read(run.path / "answers.csv")
    assert head == ["id", "model_answer"]
    expected = {str(n): "" if n == 3 else text for n, text in enumerate(ODD)}
    assert len(rows) == len(ODD)
    assert dict(rows) == expected


def test_there_is_none_unless_asked_for(tmp_path: Path) -> None:
    run = evaluate(Said(), task(), out=tmp_path / "r")
    assert sorted(path.name for path in run.path.iterdir()) == ["records.jsonl", "run.json"]


def test_repeats_are_told_apart_and_choices_are_answered_with(tmp_path: Path) -> None:
    run = evaluate(Said(), task(2), out=tmp_path / "r", repeat=2, csv=True)
    assert {key for key, _ in read(run.path / "answers.csv")[1:]} == {"0#0", "0#1", "1#0", "1#1"}
    asked = Request("7", "?", choices=[" a", " b"])
    with Sheet(tmp_path / "choices.csv") as sheet:
        sheet.add(Record(0, Sample("7", "?"), asked, Response(scores=[-2.0, -1.0])))
    assert read(tmp_path / "choices.csv")[1:] == [["7", "b"]]


def test_each_answer_is_in_the_file_when_it_is_stored(tmp_path: Path) -> None:
    seen = []

    def look(progress: object) -> None:
        seen.append((tmp_path / "r" / "answers.csv").read_bytes().count(b"\n"))

    def echo(prompt: str) -> str:
        return prompt

    evaluate(echo, task(5), out=tmp_path / "r", csv=True, watch=look)
    assert seen == [2, 3, 4, 5, 6]


@pytest.mark.parametrize("tail", ["", "9;a torn li", '9;"two\nlin', "0;plain\n", "\n\n"])
def test_a_resumed_run_mends_it(tmp_path: Path, tail: str) -> None:
    whole = evaluate(Said(), task(), out=tmp_path / "whole", csv=True)
    run = evaluate(Said(), task(), out=tmp_path / "r", csv=True)
    lines = run.log.read_bytes().splitlines(keepends=True)
    run.log.write_bytes(b"".join(lines[:6]) + lines[6][:10])
    sheet = run.path / "answers.csv"
    # As a kill leaves it: behind the records, or torn.
    sheet.write_text("".join(sheet.read_text().splitlines(keepends=True)[:5]) + tail)
    # Not asked for again: a run that has one keeps it whole.
    evaluate(Said(), task(), out=run.path, resume=True)
    assert sorted(read(sheet)) == sorted(read(whole.path / "answers.csv"))
    assert [path.name for path in run.path.glob("*.new")] == []


def test_a_failed_answer_that_is_asked_again_has_one_line(tmp_path: Path) -> None:
    class Moody(Said):
        bad = True

        def batch(self, requests: Sequence[Request]) -> list[Response]:
            return super().batch(requests) if self.bad else [Response("mended") for _ in requests]

    model = Moody()
    evaluate(model, task(6), out=tmp_path / "r", csv=True)
    model.bad = False
    run = evaluate(model, task(6), out=tmp_path / "r", resume=True, retry_failed=True)
    rows = read(run.path / "answers.csv")[1:]
    assert len(rows) == 6 and ["3", "mended"] in rows


def test_a_run_without_one_can_be_given_one(tmp_path: Path) -> None:
    run = evaluate(Said(), task(), out=tmp_path / "r")
    Sheet(tmp_path / "deep" / "a.csv", Run.open(run.path).records()).close()
    assert len(read(tmp_path / "deep" / "a.csv")) == len(ODD) + 1
    evaluate(Said(), task(), out=tmp_path / "r", resume=True, csv=True)
    assert read(run.path / "answers.csv") == read(tmp_path / "deep" / "a.csv")


def test_a_full_disk_is_told_and_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def full(file: int, data: bytes) -> int:
        if data.startswith(b"4;"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    def echo(prompt: str) -> str:
        return prompt

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(StoreError, match=r"cannot write .*answers\.csv: No space left"):
            evaluate(echo, task(8), out=tmp_path / "r", csv=True)
    run = evaluate(echo, task(8), out=tmp_path / "r", resume=True)
    assert sorted(read(run.path / "answers.csv")[1:]) == [[str(n), str(n)] for n in range(8)]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "answers.csv.new").mkdir()
    with pytest.raises(StoreError, match=r"cannot write .*answers\.csv"):
        Sheet(tmp_path / "answers.csv")
