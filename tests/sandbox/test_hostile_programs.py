"""Hostile programs: each ends within its time, gets nothing, and leaves nothing."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hostile import CALLS, FORGED, GREEDY, NOSY, Hostile

from steelyard.sandbox.outcomes import Outcome
from steelyard.sandbox.programs import run_program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are run on Linux alone")

SECONDS = 0.4


@pytest.fixture(scope="module")
def ended() -> Mapping[str, Outcome]:
    """How each of them ended; they run beside each other, as in an evaluation."""

    async def run(name: str, hostile: Hostile) -> tuple[str, Outcome]:
        outcome = await run_program(
            hostile.source, tests=hostile.tests, timeout=SECONDS, memory_bytes=200 << 20, output_bytes=100_000
        )
        return name, outcome

    async def run_all() -> Mapping[str, Outcome]:
        every = {**FORGED, **GREEDY, **NOSY}
        return dict(await asyncio.gather(*(run(*item) for item in every.items())))

    return asyncio.run(run_all())


@pytest.mark.parametrize("name", [*FORGED, *GREEDY, *NOSY])
def test_it_ends_as_it_may(ended: Mapping[str, Outcome], name: str) -> None:
    outcome = ended[name]
    assert outcome.kind in {**FORGED, **GREEDY, **NOSY}[name].kinds, outcome
    assert len(outcome.output) <= 4000
    assert len(outcome.detail) <= 2100
    # One that ends by itself may have used what was left of a second.
    assert outcome.cpu < SECONDS + 1.5


def test_what_no_program_may_ask_of_the_kernel() -> None:
    column = ("x86_64", "aarch64").index(platform.machine())
    numbers = {name: found[column] for name, found in CALLS.items()}
    source = (
        "import ctypes\nlibrary, long = ctypes.CDLL(None, use_errno=True), ctypes.c_long\n"
        "library.syscall.restype = long\n"
        f"done = {{}}\nfor name, number in {numbers!r}.items():\n"
        "    ctypes.set_errno(0)\n"
        "    first = 17 if number in (56, 220) else 0\n"
        "    got = library.syscall(long(number), long(first), *[long(0)] * 5)\n"
        "    done[name] = got, ctypes.get_errno()\n"
    )
    tests = (
        "wrong = {n: d for n, d in done.items() if d != (-1, 1)}\nassert not wrong and len(done) > 40, wrong"
    )
    assert asyncio.run(run_program(source, tests=tests)).kind == "passed"


def test_nothing_is_left(ended: Mapping[str, Outcome]) -> None:
    assert ended["writes below temporary folders"].passed
    assert not Path("/var/tmp/steelyard-was-here").exists()
    # All that programs run in has no child left, and the same processes go on to run others.
    wardens = [
        path.parent
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"sandbox.warden" in _read(path)
        and b"\nPPid:\t%d\n" % os.getpid() in _read(path.parent / "status")
    ]
    children = [(warden / "task" / warden.name / "children").read_text() for warden in wardens]
    assert len(wardens) >= 1
    assert [one for one in children if one] == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
