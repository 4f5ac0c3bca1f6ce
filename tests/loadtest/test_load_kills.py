"""A load that is killed, interrupted or short of room keeps what it measured, and can be gone on with."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from chat_service import chatting
from faulty_service import Service
from steelyard import Run

SCRIPT = Path(__file__).with_name("loading.py")
COUNTED = {"name": "counted", "concurrency": 6, "requests": 60}
TIMED = {"name": "timed", "arrival": "constant", "rate": 50, "duration": 0.6}
PATIENCE = 60.0


@contextlib.contextmanager
def slow_service() -> Iterator[Service]:
    """Answers after a moment, so that there is always something in flight."""

    def answer(asked: Any) -> str:
        time.sleep(0.05)
        return "one two"

    with chatting(answer) as service:
        yield service


def begin(url: str, out: Path, **options: Any) -> subprocess.Popen[str]:
    given = json.dumps({"stages": [COUNTED, TIMED], "workers": 2, **options})
    command = [sys.executable, str(SCRIPT), url, str(out), given]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, start_new_session=True, **pipes)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """How a load ended, and what it said; it leaves no process behind."""
    said, errors = process.communicate(timeout=PATIENCE)
    assert errors == ""
    return process.returncode, said.strip()


def wait_for(what: Callable[[], Any]) -> Any:
    until = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < until, "it never came"
        time.sleep(0.01)
    return found


def children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def is_running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    return False


def stored(out: Path) -> Counter[tuple[int, int]]:
    return Counter((one.sample.meta["stage"], one.index) for one in Run.open(out).records())


def told(about: Mapping[str, Any], doubt: str) -> bool:
    return any(doubt in one for one in about["results"][0]["doubts"])


def is_half_way(out: Path) -> bool:
    return (out / "shards").exists() and len(list(Run.open(out).records())) >= 20


def go_on(url: str, out: Path, service: Service) -> Counter[tuple[int, int]]:
    """Go on with a run to its end; all of it is then there."""
    before = stored(out)
    asked = len(service.asked)
    assert finish(begin(url, out, resume=True)) == (0, "done")
    after = stored(out)
    about = Run.open(out).about
    assert [one["state"] for one in about["stages"]] == ["done", "done"]
    assert {place for stage, place in after if stage == 0} == set(range(60))
    assert set(after.values()) == {1}, "nothing is asked twice"
    assert about["results"][0]["ok"] == 60 and not about["results"][0]["partial"]
    # Beside what was missing nothing is asked but what the service serves.
    assert len(service.asked) - asked <= sum(after.values()) - sum(before.values()) + 2
    return after


def test_a_process_that_is_killed_makes_the_run_partial(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with slow_service() as service:
        load = begin(service.url, out)
        wait_for(lambda: is_half_way(out))
        os.kill(children(load.pid)[0], signal.SIGKILL)
        assert finish(load) == (0, "partial")
        about = Run.open(out).about
        assert about["reason"] == "a process that measured is gone: killed by SIGKILL"
        assert [one["state"] for one in about["stages"]] == ["partial"]
        assert about["results"][0]["partial"] and about["results"][0]["ok"] == sum(stored(out).values()) >= 20
        assert about["stages"][0]["unsent"] == 0 and not told(about, "not begun"), "it is asked later"
        assert told(about, "under way when it was stopped")
        after = go_on(service.url, out, service)
        assert {place for stage, place in after if stage == 1} == set(range(30))


def test_when_whoever_watches_is_killed_those_who_measure_end(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with slow_service() as service:
        load = begin(service.url, out)
        wait_for(lambda: is_half_way(out))
        hands = children(load.pid)
        load.kill()
        load.communicate(timeout=PATIENCE)
        assert len(hands) == 2
        wait_for(lambda: not any(map(is_running, hands)))
        run = Run.open(out)
        assert run.about["state"] == "running" and run.is_abandoned
        go_on(service.url, out, service)
    assert not Run.open(out).is_abandoned


def test_an_interrupted_load_says_how_to_go_on(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with slow_service() as service:
        load = begin(service.url, out)
        wait_for(lambda: is_half_way(out))
        # A terminal sends it to all processes.
        os.killpg(load.pid, signal.SIGINT)
        code, said = finish(load)
        assert code == 130 and said.startswith(
            "Interrupted: stopped; what was measured is stored (go on with"
        )
        about = Run.open(out).about
        assert (about["state"], about["stages"][0]["state"]) == ("interrupted", "interrupted")
        assert about["results"][0]["partial"] and about["results"][0]["failed"] == 0
        go_on(service.url, out, service)


def test_a_timed_stage_goes_on_for_what_is_left_of_it(tmp_path: Path) -> None:
    out = tmp_path / "run"
    stage = {"name": "timed", "arrival": "constant", "rate": 100, "duration": 1}
    with slow_service() as service:
        load = begin(service.url, out, stages=[stage])
        wait_for(lambda: is_half_way(out))
        load.send_signal(signal.SIGINT)
        assert finish(load)[0] == 130
        before = stored(out)
        assert finish(begin(service.url, out, stages=[stage], resume=True)) == (0, "done")
    after = stored(out)
    # What was in flight is lost, and what is due later is asked: each at most once, to the end.
    assert set(after.values()) == {1} and before.keys() <= after.keys()
    assert max(after) == (0, 99) and len(before) < len(after) <= 100
    entry = Run.open(out).about["stages"][0]
    assert [one["sitting"] for one in entry["before"]] == [0] and entry["sitting"] == 1


def test_a_full_disk_ends_the_load_and_keeps_what_was_measured(tmp_path: Path) -> None:
    out = tmp_path / "run"
    stages = [{"name": "long", "concurrency": 6, "requests": 400}]
    with chatting(lambda asked: "one two") as service:
        code, said = finish(begin(service.url, out, stages=stages, workers=1, most_bytes=60_000))
        assert code == 1
        assert said.startswith(f"StoreError: cannot write to {out / 'shards' / '0'}: File too large")
        assert 20 < len(list(Run.open(out).records())) < 200
        assert Run.open(out).about["state"] == "stopped"
        assert finish(begin(service.url, out, stages=stages, workers=1, resume=True)) == (0, "done")
    assert stored(out) == Counter((0, place) for place in range(400))


OPEN = {"name": "timed", "arrival": "constant", "rate": 40, "duration": 3}
CLOSED = {"name": "counted", "concurrency": 3, "requests": 120}


@pytest.mark.parametrize("stage", [OPEN, CLOSED], ids=["open", "closed"])
def test_a_service_that_goes_away_and_comes_back_is_counted(tmp_path: Path, stage: dict[str, Any]) -> None:
    out = tmp_path / "run"
    with slow_service() as service:
        load = begin(service.url, out, stages=[stage], workers=1)
        wait_for(lambda: stored(out) if (out / "run.json").exists() else None)
        port, script = service.port, service.script
    wait_for(lambda: any("nobody listens" in (one.response.error or "") for one in Run.open(out).records()))
    back = Service(*script, port=port)
    try:
        assert finish(load) == (0, "done")
    finally:
        back.close()
    result = Run.open(out).about["results"][0]
    assert result["total"] == 120 == result["ok"] + result["failed"] and result["failed"] > 0
    assert back.asked, "there is still something to ask when it is back"
