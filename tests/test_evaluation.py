"""evaluate: every answer stored and scored, failures counted, resumed without loss, scored again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from steelyard import Data, LocalModel, Request, Response, Run, Sample, Task, evaluate, rescore
from steelyard.errors import DataError, RunMismatch, StoreError, UsageError
from steelyard.evaluation import Progress
from steelyard.metrics.extraction import find_number
from steelyard.metrics.numbers import number
from steelyard.metrics.text import exact


class Shout(LocalModel):
    def batch(self, requests: Sequence[Request]) -> list[Response]:
        return [Response(text=str(r.prompt).upper()) for r in requests]


def echo(prompt: str) -> str:
    return prompt


def task(count: int = 10, **options: Any) -> Task:
    samples = [Sample(id=str(n), input=f"word {n}", target=f"WORD {n}") for n in range(count)]
    return Task(**{"name": "shouting", "data": samples, "metrics": [exact], **options})


def results(run: Run) -> dict[str, dict[str, Any]]:
    return {result["metric"]: result for result in run.about["results"]}


def test_every_answer_is_stored_and_scored(tmp_path: Path) -> None:
    run = evaluate(Shout(), task(), out=tmp_path / "r")
    records = sorted(Run.open(tmp_path / "r").records(), key=lambda r: r.index)
    assert [r.response.text for r in records] == [f"WORD {n}" for n in range(10)]
    assert all(r.scores["exact"] is True for r in records)
    assert results(run)["exact"]["value"] == 1.0
    assert results(run)["exact"]["n"] == 10
    assert run.about["state"] == "done"
    assert run.about["cost"][0]["answers"] == 10
    assert run.about["environment"]["python"]
    assert run.about["metrics"] == ["exact"]


def test_a_function_is_a_model(tmp_path: Path) -> None:
    run = evaluate(str.upper, task(), out=tmp_path / "r")
    assert results(run)["exact"]["value"] == 1.0


def test_a_failed_answer_scores_nothing_and_is_counted(tmp_path: Path) -> None:
    def fragile(prompt: str) -> str:
        if prompt == "word 3":
            raise ValueError("three")
        return prompt.upper()

    run = evaluate(fragile, task(), out=tmp_path / "r")
    result = results(run)["exact"]
    assert result["value"] == pytest.approx(0.9)
    assert result["answered"] == pytest.approx(1.0)
    assert (result["n"], result["failed"]) == (10, 1)
    (failed,) = [r for r in run.records() if r.response.error]
    assert failed.response.error == "ValueError: three"


def test_resume_asks_only_what_is_missing(tmp_path: Path) -> None:
    whole = evaluate(Shout(), task(), out=tmp_path / "whole")
    part = evaluate(Shout(), task(), out=tmp_path / "part")
    lines = part.log.read_bytes().splitlines(keepends=True)
    part.log.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    asked = []

    class Watched(Shout):
        def identity(self) -> dict[str, Any]:
            return dict(Shout().identity())

        def batch(self, requests: Sequence[Request]) -> list[Response]:
            asked.extend(r.id for r in requests)
            return super().batch(requests)

    resumed = evaluate(Watched(), task(), out=tmp_path / "part", resume=True)
    stored = {json.loads(line)["sample"]["id"] for line in lines[:4]}
    assert sorted(asked) == sorted({str(n) for n in range(10)} - stored)

    def contents(run: Run) -> list[tuple[int, str, Any]]:
        return sorted((r.index, r.response.text, dict(r.scores)) for r in run.records())

    assert contents(resumed) == contents(whole)
    assert results(resumed)["exact"]["n"] == 10


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"template": "say {input}"}, "task.template"),
        ({"params": {"temperature": 1.0}}, "task.params.temperature"),
        ({"metrics": [number]}, "task.metrics"),
        ({"system": "Shout."}, "task.system"),
        ({"shots": [Sample("x", "a", "A")]}, "task.shots"),
        ({"extract": find_number}, "task.extract"),
    ],
)
def test_a_changed_task_is_not_resumed(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    evaluate(Shout(), task(), out=tmp_path / "r")
    with pytest.raises(RunMismatch, match=named):
        evaluate(Shout(), task(**change), out=tmp_path / "r", resume=True)


def test_changed_data_is_not_resumed(tmp_path: Path) -> None:
    evaluate(Shout(), task(), out=tmp_path / "r")
    changed = [Sample(id=str(n), input=f"word {n}!", target="x") for n in range(10)]
    with pytest.raises(RunMismatch, match="sample '0'"):
        evaluate(Shout(), task(data=changed), out=tmp_path / "r", resume=True)


def test_a_changed_model_is_not_resumed(tmp_path: Path) -> None:
    class Other(Shout):
        pass

    evaluate(Shout(), task(), out=tmp_path / "r")
    with pytest.raises(RunMismatch, match=r"model\.class"):
        evaluate(Other(), task(), out=tmp_path / "r", resume=True)


def test_failed_answers_can_be_asked_again(tmp_path: Path) -> None:
    class Moody(Shout):
        bad = True

        def batch(self, requests: Sequence[Request]) -> list[Response]:
            if self.bad and any(r.id == "5" for r in requests):
                raise OSError("not now")
            return super().batch(requests)

    model = Moody()
    run = evaluate(model, task(), out=tmp_path / "r")
    assert results(run)["exact"]["failed"] == 1
    model.bad = False
    run = evaluate(model, task(), out=tmp_path / "r", resume=True)
    assert results(run)["exact"]["failed"] == 1
    run = evaluate(model, task(), out=tmp_path / "r", resume=True, retry_failed=True)
    assert results(run)["exact"]["failed"] == 0
    assert sorted(r.index for r in run.records()) == list(range(10))


def test_repeats_have_seeds_of_their_own(tmp_path: Path) -> None:
    run = evaluate(Shout(), task(4), out=tmp_path / "r", repeat=3, seed=100)
    records = sorted(run.records(), key=lambda r: r.index)
    assert [r.request.id for r in records[:4]] == ["0#0", "0#1", "0#2", "1#0"]
    assert [r.request.params["seed"] for r in records] == list(range(100, 112))


def test_a_metric_that_raises_loses_no_answer(tmp_path: Path) -> None:
    def picky(sample: Sample, response: Response) -> bool:
        if sample.id == "2":
            raise KeyError("two")
        return True

    run = evaluate(Shout(), task(metrics=[picky, exact]), out=tmp_path / "r")
    record = next(r for r in run.records() if r.sample.id == "2")
    assert record.scores == {"picky": None, "picky.error": "KeyError: 'two'", "exact": True}
    assert results(run)["picky"]["undefined"] == 1


def test_nan_is_no_score(tmp_path: Path) -> None:
    def odd(sample: Sample, response: Response) -> float:
        return float("nan") if sample.id == "1" else 1.0

    run = evaluate(Shout(), task(metrics=[odd]), out=tmp_path / "r")
    assert results(run)["odd"]["undefined"] == 1
    assert results(run)["odd"]["value"] is not None


def test_metrics_may_be_async_and_give_several(tmp_path: Path) -> None:
    async def several(sample: Sample, response: Response) -> dict[str, float]:
        return {"length": len(response.text), "half": 0.5}

    run = evaluate(Shout(), task(metrics=[several]), out=tmp_path / "r")
    assert results(run)["several.half"]["value"] == 0.5
    assert results(run)["several.length"]["value"] == 6


def test_extraction_is_stored_and_counted(tmp_path: Path) -> None:
    data = [Sample("1", "it is #### 5", target="5"), Sample("2", "none here", target="5")]
    run = evaluate(echo, task(data=data, metrics=[number], extract=find_number), out=tmp_path / "r")
    found = {r.sample.id: r.scores["extraction"] for r in run.records()}
    assert found == {"1": "####", "2": "nothing"}
    assert results(run)["number"]["value"] == 0.5


def test_scoring_again_needs_no_model(tmp_path: Path) -> None:
    data = [Sample("1", "it is #### 5", target="5"), Sample("2", "7", target="7")]
    run = evaluate(echo, task(data=data, metrics=[exact]), out=tmp_path / "r")
    assert results(run)["exact"]["value"] == 0.5
    again = rescore(tmp_path / "r", [number, exact], extract=find_number)
    assert results(again)["number"]["value"] == 1.0
    assert results(again)["exact"]["value"] == 1.0
    assert [r.response.text for r in again.records()] == [r.response.text for r in run.records()]


def test_answers_are_scored_again_beside_each_other(tmp_path: Path) -> None:
    data = [Sample(str(n), str(n), target=str(n)) for n in range(150)]
    evaluate(echo, task(data=data, metrics=[exact]), out=tmp_path / "r")
    waiting, most = 0, 0

    async def length(sample: Sample, response: Response) -> int:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        for _ in range(int(sample.id) % 7):
            await asyncio.sleep(0)
        waiting -= 1
        if sample.id == "70":
            raise KeyError("seventy")
        return len(response.text)

    again = rescore(tmp_path / "r", [length])
    assert 10 < most < 150
    lengths = {record.sample.id: record.scores["length"] for record in again.records()}
    assert lengths == {one.id: None if one.id == "70" else len(one.id) for one in data}


def test_a_system_text_and_examples_as_turns_and_as_text(tmp_path: Path) -> None:
    shots = [Sample("s", "one", target="ONE")]
    asked = task(1, system="Shout.", shots=shots, template="Say {input}:")
    assert asked.prompt(next(iter(asked.data)), chat=False) == "Shout.\n\nSay one: ONE\n\nSay word 0:"
    assert asked.prompt(next(iter(asked.data)), chat=True) == [
        {"role": "system", "content": "Shout."},
        {"role": "user", "content": "Say one:"},
        {"role": "assistant", "content": "ONE"},
        {"role": "user", "content": "Say word 0:"},
    ]


def test_limit_and_progress(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []

    def watch(progress: Progress) -> None:
        seen.append((progress.done, progress.total))

    evaluate(Shout(), task(), out=tmp_path / "r", limit=4, watch=watch)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="empty"):
        evaluate(Shout(), task(0), out=tmp_path / "a")
    with pytest.raises(UsageError, match="repeat is 0"):
        evaluate(Shout(), task(), out=tmp_path / "b", repeat=0)
    with pytest.raises(UsageError, match="no metric"):
        task(metrics=[])
    with pytest.raises(DataError, match="no field 'question'"):
        evaluate(Shout(), task(template="{question}"), out=tmp_path / "c")


ODD: dict[str, tuple[dict[str, Any], str]] = {
    "half a character": ({"text": "half a pair \ud83d"}, "cannot be stored"),
    "an object": ({"text": "x", "raw": object()}, "cannot be stored"),
    "not a number": ({"text": "x", "scores": {"good": float("nan")}}, "odd scores: NaN"),
    "no score": ({"text": "x", "scores": {"good": None}}, "odd scores"),
}


@pytest.mark.parametrize("kind", ODD)
def test_an_answer_that_cannot_be_stored_is_a_failed_one(tmp_path: Path, kind: str) -> None:
    def answer(request: Request) -> Response:
        return Response(**ODD[kind][0]) if request.id == "3" else Response(str(request.prompt).upper())

    run = evaluate(answer, task(), out=tmp_path / "r")
    failed = [record for record in run.records() if record.response.error is not None]
    assert [record.sample.id for record in failed] == ["3"]
    assert ODD[kind][1] in str(failed[0].response.error)
    assert results(run)["exact"]["value"] == 0.9
    assert results(run)["exact"]["failed"] == 1


def test_a_run_that_is_written_to_is_not_scored_meanwhile(tmp_path: Path) -> None:
    def watch(progress: Progress) -> None:
        with pytest.raises(StoreError, match="another process is writing"):
            rescore(tmp_path / "r", [number])

    run = evaluate(Shout(), task(), out=tmp_path / "r", watch=watch)
    assert len(list(run.records())) == 10


def test_scores_of_other_metrics_are_not_mixed_by_resuming(tmp_path: Path) -> None:
    evaluate(Shout(), task(), out=tmp_path / "r", limit=None)
    rescore(tmp_path / "r", [number])
    with pytest.raises(RunMismatch, match=r"task\.metrics\.exact"):
        evaluate(Shout(), task(), out=tmp_path / "r", resume=True)
    rescore(tmp_path / "r", [exact])
    assert results(evaluate(Shout(), task(), out=tmp_path / "r", resume=True))["exact"]["n"] == 10


def test_a_run_that_cannot_be_resumed_is_let_go(tmp_path: Path) -> None:
    run = evaluate(Shout(), task(), out=tmp_path / "r")
    whole = run.log.read_bytes()
    run.log.write_bytes(b"damaged\n" + whole)
    with pytest.raises(StoreError, match="line 1 is damaged"):
        evaluate(Shout(), task(), out=tmp_path / "r", resume=True)
    run.log.write_bytes(whole)
    assert results(evaluate(Shout(), task(), out=tmp_path / "r", resume=True))["exact"]["n"] == 10


def test_metrics_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="two metrics are called exact"):
        task(metrics=[exact, exact])


@pytest.mark.parametrize("repeat", [1, 2])
def test_an_extractor_that_fails_costs_no_answer(tmp_path: Path, repeat: int) -> None:
    def broken(text: str, sample: Sample) -> Any:
        raise KeyError("rule")

    run = evaluate(Shout(), task(3, extract=broken), out=tmp_path / "r", repeat=repeat)
    records = list(run.records())
    assert len(records) == 3 * repeat
    assert all(r.scores == {"exact": None, "exact.error": "KeyError: 'rule'"} for r in records)
    rescore(tmp_path / "r", [exact])
    assert results(Run.open(tmp_path / "r"))["exact"]["value"] == 1.0


def test_data_that_breaks_is_told_and_what_was_answered_is_stored(tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, str]]:
        yield {"input": "a", "target": "A"}
        raise ValueError("no more")

    with pytest.raises(DataError, match=r"rows broke after 1 rows: ValueError: no more.*line \d+"):
        evaluate(Shout(), task(data=Data(rows)), out=tmp_path / "r")
    run = Run.open(tmp_path / "r")
    assert run.about["state"] == "stopped"
    assert [record.response.text for record in run.records()] == ["A"]
