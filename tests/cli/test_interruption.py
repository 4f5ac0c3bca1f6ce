"""Ctrl-C and SIGTERM: what was answered is stored, the way on is said, nothing is asked twice."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from steelyard.cli.interruption import stopped_like_an_interrupt

Begin = Callable[..., "subprocess.Popen[str]"]
SLOW = (
    "eval",
    "--model",
    "./model.py:slow",
    "--data",
    "words.jsonl",
    "--metric",
    "exact",
    "--concurrency",
    "2",
)


def wait_for(log: Path, lines: int) -> None:
    deadline = time.monotonic() + 30
    while not log.exists() or log.read_bytes().count(b"\n") < lines:
        assert time.monotonic() < deadline, "no answers came"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on(begin: Begin, folder: Path, number: signal.Signals) -> None:
    log = folder / "r" / "records.jsonl"
    process = begin(*SLOW, "--out", "r")
    wait_for(log, 3)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    *_, said, hint = err.splitlines()
    stored = len(log.read_text().splitlines())
    assert said == f"steelyard: error: stopped; {stored} answers are stored"
    assert hint == "hint: go on with: steelyard eval --resume r"
    assert 3 <= stored < 40
    assert json.loads((folder / "r" / "run.json").read_text())["state"] == "interrupted"
    resumed = begin(*hint.split()[5:])
    out, err = resumed.communicate(timeout=30)
    assert resumed.returncode == 0, err
    indices = [json.loads(line)["index"] for line in log.read_text().splitlines()]
    assert sorted(indices) == list(range(40))
    assert "1.000" in out
    costs = json.loads((folder / "r" / "run.json").read_text())["cost"]
    assert [sitting["answers"] for sitting in costs] == [stored, 40 - stored]


def test_sigterm_is_heard_where_ctrl_c_is_meant_for_others(begin: Begin, folder: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        # As a shell begins what it runs in the background.
        process = begin(*SLOW, "--out", "r")
    finally:
        signal.signal(signal.SIGINT, before)
    wait_for(folder / "r" / "records.jsonl", 3)
    process.send_signal(signal.SIGINT)
    wait_for(folder / "r" / "records.jsonl", 6)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err and err.splitlines()[-1].endswith("--resume r")
    assert json.loads((folder / "r" / "run.json").read_text())["state"] == "interrupted"


def test_several_runs_go_on_together(begin: Begin, folder: Path) -> None:
    models = ("--model", "./model.py:echo", "--model", "./model.py:slow")
    process = begin("eval", *models, *SLOW[3:], "--out", "all", "--quiet")
    wait_for(folder / "all" / "words-slow" / "records.jsonl", 3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    command = err.splitlines()[-1].partition("go on with: steelyard ")[2].split()
    assert command[-2:] == ["--resume", "all"]
    resumed = begin(*command, "--json")
    out, err = resumed.communicate(timeout=30)
    assert resumed.returncode == 0, err
    assert [run["answers"] for run in json.loads(out)["runs"]] == [40, 40]


def test_a_second_interrupt_ends_at_once(begin: Begin, folder: Path) -> None:
    (folder / "model.py").write_text(
        "import time\n"
        "def stuck(prompt):\n"
        "    if prompt.endswith('w3'):\n"
        "        open('stuck', 'w').close()\n"
        "        time.sleep(600)\n"
        "    return prompt.split()[-1]\n"
    )
    model = ("--model", "./model.py:stuck", "workers=2")
    process = begin("eval", *model, "--data", "words.jsonl", "--metric", "exact", "--out", "r")
    wait_for(folder / "r" / "records.jsonl", 20)
    while not (folder / "stuck").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        # The first is heard by the loop; how many it takes after that must not matter.
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in err


def test_a_terminal_gets_one_line_that_is_redrawn(folder: Path) -> None:
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "steelyard", *SLOW, "--out", "r"]
    environment = {**os.environ, "COLUMNS": "70", "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=child
    )
    os.close(child)
    seen = b""
    while True:
        select.select([parent], [], [], 30)
        try:
            piece = os.read(parent, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        seen += piece
    os.close(parent)
    assert process.wait(30) == 0
    assert process.stdout is not None
    assert b"1.000" in process.stdout.read()
    process.stdout.close()
    line, _, rest = seen.decode().partition("\n")
    draws = [draw.removeprefix("\x1b[K").rstrip("\r") for draw in line.split("\r") if draw]
    assert len(draws) >= 3
    assert draws[0] == "words · slow: asking …"
    assert "40/40" in draws[-1] and "exact 1.000" in draws[-1] and "█" in draws[-1]
    assert all(len(draw) < 70 for draw in draws)
    assert rest.strip() == "stored in r"


def test_a_loop_is_interrupted_between_its_steps_and_not_within_one() -> None:
    done = []

    async def work() -> None:
        signal.raise_signal(signal.SIGTERM)
        done.append("this step")
        await asyncio.sleep(60)

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(KeyboardInterrupt), stopped_like_an_interrupt():
            asyncio.run(work())
    finally:
        signal.signal(signal.SIGINT, before)
    assert done == ["this step"]
