"""load(): what is asked of real sockets, and what is stored of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from workload_maker import Numbered

from chat_service import chatting, refusal
from faulty_service import reply
from steelyard import LocalModel, Model, Record, Request, Response, Run, Stage, load, open_model
from steelyard.errors import DataError, RunMismatch, SteelyardError, UsageError
from steelyard.loadtest.measuring import LEAD
from steelyard.loadtest.ticks import Tick
from steelyard.models.base import clock
from steelyard.report.load_contents import read_load
from steelyard.report.load_page import draw_load_page
from steelyard.report.load_words import doubt_load
from steelyard.timings.performance import Performance
from steelyard.workloads.references import open_workload

WARM = Stage(name="warm", warmup=True, concurrency=2, requests=3)
CLOSED = Stage(name="closed", concurrency=4, requests=12)
OPEN = Stage(name="open", arrival="poisson", rate=100, requests=10)


class Shout(LocalModel):
    """Answers in capitals, in this process."""

    def batch(self, requests: Sequence[Request]) -> list[Response]:
        assert {isinstance(one.prompt, str) for one in requests} == {not self.chat}
        said = [one.prompt if isinstance(one.prompt, str) else one.prompt[-1]["content"] for one in requests]
        return [Response(text=str(text).upper()) for text in said]


def of_stage(run: Run, number: int) -> list[Record]:
    records = [one for one in run.records() if one.sample.meta["stage"] == number]
    return sorted(records, key=lambda one: (one.index, one.sample.meta["turn"]))


def measure(
    url: str, out: Path, *, stages: Any = (WARM, CLOSED, OPEN), workload: Any = None, **more: Any
) -> Run:
    workload = Numbered() if workload is None else workload
    return load(url, workload, stages=stages, out=out, **{"scrape": False, **more})


def test_stages_are_asked_one_after_another_and_stored(tmp_path: Path) -> None:
    ticks: list[Tick] = []
    with chatting(lambda asked: "one two three") as service:
        run = measure(service.url, tmp_path / "run", watch=ticks.append)
    assert [path.name for path in (tmp_path / "run" / "shards").iterdir()] == ["0"]
    assert run.about == Run.open(run.path).about
    about = run.about
    assert (about["kind"], about["state"], about["elsewhere"]) == ("load", "done", True)
    assert [(one["name"], one["state"], one["first"], one["reached"]) for one in about["stages"]] == [
        ("closed", "done", 3, 12),
        ("open", "done", 15, 10),
    ]
    assert [(one["stage"], one["ok"], one["total"]) for one in about["results"]] == [(0, 12, 12), (1, 10, 10)]
    # No session is asked twice, and every stage goes on where the one before ended.
    for number, sessions in ((-1, range(3)), (0, range(3, 15)), (1, range(15, 25))):
        records = of_stage(run, number)
        assert [one.sample.id for one in records] == [f"s{n}" for n in sessions]
        assert [one.index for one in records] == list(range(len(sessions)))
    asked = [one.json for one in service.asked if one.target.endswith("completions")]
    assert len(asked) == 25 and {one["stream"] for one in asked} == {True}
    assert len({one.request.id for one in run.records()}) == 25
    first = of_stage(run, 0)[0]
    assert (first.request.prompt, first.response.text, first.sample.input) == ("", "", None)
    assert first.response.tokens == (7, 3) and first.response.raw["events"] == 3
    last = {tick.stage: tick for tick in ticks}
    assert {name: (tick.sent, tick.done, tick.in_flight) for name, tick in last.items()} == {
        "warm": (3, 3, 0), "closed": (12, 12, 0), "open": (10, 10, 0),
    }  # fmt: skip


def test_any_number_of_processes_asks_the_same(tmp_path: Path) -> None:
    def dues(run: Run) -> list[float]:
        begin, timings = run.about["stages"][1]["from"], [one.response.timing for one in of_stage(run, 1)]
        return [one.due - begin for one in timings if one is not None]

    with chatting() as service:
        alone = measure(service.url, tmp_path / "1", workers=1)
        three = measure(service.url, tmp_path / "3", workers=3)
        other = measure(service.url, tmp_path / "4", workers=3, seed=1)
    assert dues(three) == pytest.approx(dues(alone), abs=2e-6) and len(dues(alone)) == 10
    assert dues(other) != pytest.approx(dues(alone), abs=2e-6)
    for number, sessions in ((0, range(3, 15)), (1, range(15, 25))):
        assert [one.sample.id for one in of_stage(three, number)] == [f"s{n}" for n in sessions]
    assert [one["workers"] for one in three.about["stages"]] == [3, 3]
    names = ("total", "ok", "failed", "cut", "output_tokens")
    for one, another in zip(alone.about["results"], three.about["results"]):
        assert [one.get(name) for name in names] == [another.get(name) for name in names]


def test_sessions_go_on_with_what_was_said(tmp_path: Path) -> None:
    workload = Numbered(size=3, turns=3, think=0.01)
    with chatting(lambda asked: f"answer to {asked.json['messages'][-1]['content']}") as service:
        run = measure(service.url, tmp_path / "run", stages=[CLOSED], workload=workload, keep=True)
    records = of_stage(run, 0)
    assert [(one.sample.id, one.sample.meta["turn"]) for one in records] == [
        (f"s{n}#{k}", k) for n in range(3) for k in range(3)
    ]
    said = [(turn["role"], turn["content"]) for turn in records[2].request.prompt]  # type: ignore[index,union-attr,call-overload]
    assert said == [
        ("user", "What is 0.0?"), ("assistant", "answer to What is 0.0?"),
        ("user", "What is 0.1?"), ("assistant", "answer to What is 0.1?"), ("user", "What is 0.2?"),
    ]  # fmt: skip
    assert records[2].response.text == "answer to What is 0.2?"
    # A turn is due once its user has thought about the answer before.
    first, second = records[0].response.timing, records[1].response.timing
    assert first is not None and second is not None
    assert second.due == pytest.approx(first.done + 0.01, abs=1e-6)
    assert len(run.about["results"][0]["turns"]) == 3


def test_a_turn_that_fails_ends_its_session_and_no_other(tmp_path: Path) -> None:
    def answer(asked: Any) -> Any:
        said = asked.json["messages"][-1]["content"]
        return refusal("too much", status=500) if said == "What is 1.1?" else "fine"

    with chatting(answer) as service:
        run = measure(service.url, tmp_path / "run", stages=[CLOSED], workload=Numbered(size=3, turns=3))
    records = of_stage(run, 0)
    assert [one.sample.id for one in records if one.response.error is not None] == ["s1#1"]
    assert Counter(one.index for one in records) == {0: 3, 1: 2, 2: 3}
    assert run.about["results"][0]["failed"] == 1


@pytest.mark.parametrize("chat", [False, True])
def test_a_model_in_this_process_is_asked_by_it(tmp_path: Path, chat: bool) -> None:
    class Here(Shout):
        pass

    Here.chat = chat
    ticks: list[Tick] = []
    run = load(
        Here(), Numbered(), stages=[WARM, CLOSED, OPEN], out=tmp_path / "run", keep=True, watch=ticks.append
    )
    assert (run.about["state"], run.about["elsewhere"]) == ("done", False)
    assert of_stage(run, 0)[0].response.text == "WHAT IS 3.0?"
    assert [one["ok"] for one in run.about["results"]] == [12, 10]
    assert [one["taken_by"] for one in run.about["results"]] == [{"model": 12}, {"model": 10}]
    assert ticks[-1].done == 10


def test_a_stage_in_this_process_begins_a_moment_after_all_is_ready(tmp_path: Path) -> None:
    ready: list[float] = []

    class Here(Model):
        async def warm(self, connections: int) -> None:
            ready.append(clock())

        async def ask(self, request: Request) -> Response:
            asked.append(clock())
            return Response(text="yes")

    asked: list[float] = []
    once = Stage(name="once", arrival="at_once", requests=3)
    run = load(Here(), Numbered(), stages=[once], out=tmp_path / "run")
    assert min(asked) >= ready[0] + LEAD
    dues = [one.response.timing.due for one in run.records() if one.response.timing is not None]
    assert dues == pytest.approx([run.about["stages"][0]["from"]] * 3, abs=1e-6)
    assert run.about["results"][0]["taken_by"] == {"reader": 3}


def test_what_a_workload_has_to_say_is_stored(tmp_path: Path) -> None:
    workload = open_workload("synthetic", input=5, limit=4)
    run = load(Shout(), workload, stages=[CLOSED], out=tmp_path / "run")
    (remark,) = run.about["remarks"]
    assert remark.startswith("lengths are counted in words: no tokenizer is known")
    assert remark in doubt_load(read_load(run))
    assert remark in draw_load_page([read_load(run)])


def test_stages_may_depend_on_what_was_measured(tmp_path: Path) -> None:
    seen: list[int] = []

    def double(results: Sequence[Performance]) -> Stage | None:
        seen.append(len(results))
        clients = 2 ** len(results)
        if results and results[-1].concurrency_max >= 4:
            return None
        return Stage(name=f"{clients} clients", concurrency=clients, requests=8)

    with chatting() as service:
        run = measure(service.url, tmp_path / "run", stages=double)
        assert [one["concurrency"] for one in run.about["stages"]] == [1, 2, 4]
        assert [one["concurrency_max"] for one in run.about["results"]] == [1, 2, 4]
        assert seen == [0, 1, 2, 3]
        before = len(service.asked)
        again = measure(service.url, tmp_path / "run", stages=double, resume=True)
        assert again.about["results"] == run.about["results"] and len(service.asked) <= before + 1


def test_a_score_is_stored_with_each_record(tmp_path: Path) -> None:
    def judge(record: Record) -> dict[str, bool]:
        return {"polite": "please" in record.response.text}

    with chatting(lambda asked: "please wait") as service:
        run = measure(service.url, tmp_path / "run", stages=[CLOSED], check=judge)
    assert {json.dumps(dict(one.scores)) for one in run.records()} == {'{"polite":true}'.replace(":", ": ")}
    assert {one.response.text for one in run.records()} == {""}


def test_a_service_that_can_answer_nothing_costs_one_line_and_no_folder(tmp_path: Path) -> None:
    with chatting(lambda asked: refusal("bad key", status=401)) as service:
        with pytest.raises(SteelyardError, match="key"):
            measure(service.url, tmp_path / "run")
        assert not (tmp_path / "run").exists()
        model = open_model(service.url)
    with pytest.raises(SteelyardError, match="nobody listens"):
        measure(model, tmp_path / "run")  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_a_run_that_can_answer_nothing_any_more_is_as_it_was(tmp_path: Path) -> None:
    with chatting() as service:
        model = open_model(service.url)
        run = load(model, Numbered(), stages=[CLOSED], out=tmp_path / "run", scrape=False)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    more = [CLOSED, OPEN]
    with pytest.raises(SteelyardError, match="nobody listens"):
        load(model, Numbered(), stages=more, out=run.path, resume=True, scrape=False)
    after = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    assert after == before


def test_what_is_not_answered_when_the_time_is_over_is_cut(tmp_path: Path) -> None:
    asked: list[int] = []

    stage = Stage(name="x", concurrency=2, duration=0.3, grace=0.2)
    with chatting(lambda one: f"yes {asked.append(1)}") as service:
        chat = service.script[0]
        service.script[0] = lambda one: service.HANG if len(asked) > 3 else chat(one)
        run = measure(service.url, tmp_path / "run", stages=[stage])
    result = run.about["results"][0]
    assert (run.about["state"], result["cut"], result["failed"]) == ("done", 2, 0)
    cut = [one for one in run.records() if one.response.error is not None]
    assert [one.response.raw["cut"] for one in cut] == [True, True]


def test_what_a_limit_kept_from_being_sent_is_counted(tmp_path: Path) -> None:
    stage = Stage(name="x", arrival="constant", rate=100, duration=0.5, concurrency=2)
    with chatting(lambda asked: time.sleep(0.05) or "yes") as service:
        run = measure(service.url, tmp_path / "run", stages=[stage], workers=2)
    [entry], [result] = run.about["stages"], run.about["results"]
    assert entry["unsent"] > 0 and result["total"] + entry["unsent"] == 50
    assert result["doubts"][-1].startswith(f"{entry['unsent']} sessions were due and not begun")


def test_a_run_is_gone_on_with_only_as_it_was(tmp_path: Path) -> None:
    with chatting() as service:
        run = measure(service.url, tmp_path / "run", stages=[CLOSED])
        for changed, said in (
            ({"workload": Numbered(turns=2)}, "workload.turns was 1, is 2"),
            ({"seed": 4}, "sampling.seed was 0, is 4"),
            ({"stages": [Stage(name="closed", concurrency=5, requests=12)]}, "concurrency was 4, is 5"),
        ):
            with pytest.raises(RunMismatch, match=said):
                measure(service.url, run.path, **{"stages": [CLOSED], **changed, "resume": True})
        more = measure(service.url, run.path, stages=[CLOSED, OPEN], resume=True)
    assert more.about["results"][0] == run.about["results"][0]
    assert [one["sitting"] for one in more.about["stages"]] == [0, 1]
    assert [one.sample.id for one in of_stage(more, 1)] == [f"s{n}" for n in range(12, 22)]


def test_what_cannot_be_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    model = Shout()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"resume": True, "out": None}, "nothing to resume"),
        ({"workers": 0}, "workers is 0"),
        ({"workers": 2}, "Shout is asked by this process alone"),
        ({"stages": [WARM]}, "nothing to measure"),
        ({"stages": [CLOSED, Stage(name="x")]}, "nothing says how much is asked"),
        ({"slo": "ttft_p99"}, "ttft_p99"),
        ({"goodput": "nothing=5"}, "nothing"),
    ]
    for options, said in cases:
        with pytest.raises(UsageError, match=said):
            load(model, Numbered(), **{"stages": [CLOSED], "out": tmp_path / "run", **options})
    assert not (tmp_path / "run").exists()


class Elsewhere(Model):
    """A model that says so itself, and needs nothing of HTTP."""

    elsewhere = True

    async def ask(self, request: Request) -> Response:
        raise ZeroDivisionError("by design")


def test_a_model_that_raises_fails_the_request_and_not_the_load(tmp_path: Path) -> None:
    run = load(Elsewhere(), Numbered(), stages=[CLOSED], out=tmp_path / "run", workers=2)
    assert run.about["state"] == "done"
    assert run.about["results"][0]["errors"] == {"ZeroDivisionError: by design": 12}


def test_a_workload_that_ends_before_its_stage_is_told(tmp_path: Path) -> None:
    stages = [
        Stage(name="few", concurrency=2, requests=4),
        Stage(name="many", concurrency=2, requests=9),
        Stage(name="long", concurrency=2, duration=30),
        Stage(name="short", arrival="constant", rate=20, duration=0.12),
    ]
    with chatting(lambda asked: "one") as service:
        run = measure(service.url, tmp_path / "run", workload=Numbered(size=6), stages=stages)
    told = [[one for one in result["doubts"] if "workload" in one] for result in run.about["results"]]
    said = "the workload ended after 6 sessions, before"
    assert [one.count(said) for (one,) in told[1:3]] == [1, 1] and not told[0] + told[3]
    assert "there were 9" in told[1][0] and "30 s were over" in told[2][0]


@pytest.mark.parametrize("workers", [1, 2])
def test_rows_that_are_passed_over_are_counted_and_told(tmp_path: Path, workers: int) -> None:
    rows: list[Any] = [{"timestamp": n, "input_length": 3, "output_length": n % 3} for n in range(9)]
    lines = [json.dumps(row) for row in rows[:5]] + ["nonsense"] + [json.dumps(row) for row in rows[5:]]
    (tmp_path / "trace.jsonl").write_text("\n".join(lines) + "\n")
    workload = open_workload(
        tmp_path / "trace.jsonl", tokenizer="none", unit="ms", on_bad_row="skip", params={"user": "me"}
    )
    trace = Stage(name="trace", arrival="trace")
    with chatting(lambda asked: "one") as service:
        run = measure(service.url, tmp_path / "run", workload=workload, stages=[trace], workers=workers)
    assert run.about["stages"][0]["skipped"] == 4
    assert len(of_stage(run, 0)) == 6
    assert any("4 rows of the workload were passed over" in one for one in run.about["results"][0]["doubts"])


def test_a_workload_that_breaks_ends_the_load_and_says_so(tmp_path: Path) -> None:
    class Broken(Numbered):
        def __iter__(self) -> Any:
            for number, session in enumerate(super().__iter__()):
                if number == 5:
                    raise UsageError("row 5 is odd", hint="mend it")
                yield session

    with chatting() as service, pytest.raises(UsageError, match=r"row 5 is odd \(mend it\)"):
        measure(service.url, tmp_path / "run", stages=[CLOSED], workload=Broken())
    about = Run.open(tmp_path / "run").about
    assert (about["state"], about["stages"][0]["state"]) == ("stopped", "stopped")
    assert "row 5 is odd" in about["reason"]
    assert len(list(Run.open(tmp_path / "run").records())) == 5


def test_an_error_in_the_code_of_a_workload_is_told_as_that(tmp_path: Path) -> None:
    class Broken(Numbered):
        def __iter__(self) -> Any:
            yield from [session for session, _ in zip(super().__iter__(), range(3))]
            raise KeyError("user")

    said = r"the workload \w+ broke: KeyError: 'user' \(see .*test_load.py, line \d+\)"
    with chatting() as service, pytest.raises(DataError, match=said):
        measure(service.url, tmp_path / "run", stages=[CLOSED], workload=Broken())
    assert Run.open(tmp_path / "run").about["state"] == "stopped"


@pytest.mark.parametrize("apart", [False, True])
def test_a_load_may_be_begun_within_an_async_program(tmp_path: Path, apart: bool) -> None:
    async def main(url: str) -> Run:
        return load(
            url if apart else Shout(), Numbered(), stages=[CLOSED], out=tmp_path / "run", scrape=False
        )

    with chatting() as service:
        run = asyncio.run(main(service.url))
    assert (run.about["state"], run.about["results"][0]["ok"]) == ("done", 12)


def test_what_the_service_tells_of_itself_is_kept_beside(tmp_path: Path) -> None:
    told = b"# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 3\n"
    with chatting() as service:
        chat = service.script[0]
        service.script[0] = lambda asked: reply(body=told) if asked.target == "/metrics" else chat(asked)
        run = measure(service.url, tmp_path / "run", scrape=None, workers=2)
    lines = [json.loads(line) for line in (run.path / "server.jsonl").read_text().splitlines()]
    # Once before and once behind each stage, the warm-up among them.
    assert len(lines) >= 6
    assert all(3 in line["values"].values() and line["t"] > 1e9 for line in lines)
