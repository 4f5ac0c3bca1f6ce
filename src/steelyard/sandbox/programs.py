"""Programs run behind walls: `await run_program(source, tests=…)` tells how one ended.

    outcome = await run_program("def two():\\n    return 2\\n", tests="assert two() == 2\\n")
    outcome.passed, outcome.kind          True, "passed"

As many run at a time as there are cores. Where walls cannot be had nothing is run.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import secrets
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any, cast

from steelyard.errors import SteelyardError, UsageError
from steelyard.sandbox.outcomes import EXIT, HEAD, MEANINGS, PASSED, PATIENCE, TOKEN_BYTES, Outcome

_MEMORY_BYTES = 512 << 20
_OUTPUT_BYTES = 1 << 20
_LEAST_BYTES = 64 << 20
_GRACE = 20.0
_TRIES = 2
_NEEDS = "it takes Linux on x86_64 or aarch64 with seccomp, and namespaces or Landlock from 6.2 on"
_START = (
    "import sys; sys.path[0] = sys.argv[1]; from steelyard.sandbox.warden import serve; del sys.path[0]; "
    "serve(sys.argv[2:])"
)
# What no program may do is tried before any other is run.
_PROBE = """
import _socket, colorsys, os
def refused(act, *given):
    try:
        act(*given)
    except OSError:
        return True
"""
_PROBED = """
assert refused(_socket.socket), "opens sockets"
assert refused(os.fork), "starts processes"
assert refused(os.kill, os.getppid(), 0), "sends signals"
assert refused(open, "/etc/passwd"), "reads files"
assert refused(open, "/proc/self/environ"), "reads of processes"
assert refused(open, os.__file__, "a"), "writes files"
"""


class _Broken(Exception):
    """A warden that says nothing, or nothing of sense."""


@dataclass
class _Job:
    """A program on its way; `stop` ends it wherever it is."""

    program: dict[str, str]
    seconds: float
    memory_bytes: int = _MEMORY_BYTES
    output_bytes: int = _OUTPUT_BYTES
    token: bytes = field(default_factory=lambda: secrets.token_bytes(TOKEN_BYTES))
    warden: _Warden | None = None
    stopped: bool = False

    def stop(self) -> None:
        """Have nobody wait for it any longer."""
        self.stopped = True
        if self.warden is not None:
            self.warden.end()

    def outcome_of(self, told: dict[str, Any]) -> Outcome:
        """What a warden's words mean."""
        kind, detail = told["ended"], ""
        if kind == EXIT:
            report = bytes.fromhex(told["report"])
            # Only who knows the token has come to the end of the tests.
            if report == self.token:
                kind = PASSED
            else:
                said, _, detail = report.decode(errors="replace").partition("\n")
                kind = said if said in MEANINGS and said != PASSED else EXIT
        return Outcome(kind, detail or MEANINGS[kind], told["output"], told["cpu"], told["wall"])


class _Warden:
    """A process that runs programs one after the other."""

    def __init__(self, folders: Sequence[str]) -> None:
        root = Path(__file__).parents[2]
        # A program gives the same result each time it is run, whatever order its sets have.
        # The C library would set aside 64 MiB for each thread.
        environment = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "1"}
        if "LD_LIBRARY_PATH" in os.environ:
            environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
        self._process = subprocess.Popen(
            [sys.executable, "-s", "-S", "-B", "-c", _START, str(root), *folders],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
        self._in, self._out, self._complaints = (
            cast("IO[bytes]", pipe)
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr)
        )
        self._rest = b""
        try:
            self.about = self._read(_GRACE)
        except _Broken:
            self.end()
            raise

    def run(self, job: _Job) -> Outcome:
        """Run a program to its end."""
        text = json.dumps(job.program).encode()
        head = HEAD.pack(job.seconds, job.memory_bytes, job.output_bytes, len(text))
        try:
            self._in.write(head + job.token + text)
            self._in.flush()
        except OSError as error:
            raise _Broken(str(error)) from error
        told = self._read(PATIENCE * job.seconds + _GRACE)
        if "broken" in told:
            raise _Broken(told["broken"])
        return job.outcome_of(told)

    def end(self) -> None:
        """End it, and with it what it runs."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._in, self._out, self._complaints):
            # What was not written yet is lost with its reader.
            with contextlib.suppress(OSError):
                pipe.close()

    def _read(self, seconds: float) -> dict[str, Any]:
        """The next line that it says."""
        until = time.monotonic() + seconds
        try:
            opened = self._out.fileno()
            while b"\n" not in self._rest:
                poll = select.poll()
                poll.register(opened, select.POLLIN)
                if not poll.poll(max(0, int(1000 * (until - time.monotonic())))):
                    raise _Broken(f"it said nothing for {seconds:g} s")
                data = os.read(opened, 65536)
                if not data:
                    # All that it started has an error stream of its own, so this one ends with it.
                    why = self._complaints.read().decode(errors="replace").strip().rpartition("\n")[2]
                    raise _Broken(f"it ended ({why})" if why else "it ended")
                self._rest += data
            line, _, self._rest = self._rest.partition(b"\n")
            told: dict[str, Any] = json.loads(line)
        except (OSError, ValueError) as error:
            raise _Broken(str(error)) from error
        return told


class Sandbox:
    """Wardens, as many as there are cores, and the threads that wait for them."""

    def __init__(self, folders: Sequence[str] = ()) -> None:
        self._folders = [str(Path(folder).resolve()) for folder in folders]
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._threads = ThreadPoolExecutor(cores, thread_name_prefix="sandbox")
        self._idle: list[_Warden] = []
        self._all: set[_Warden] = set()
        self._lock = threading.Lock()
        atexit.register(self.close)

    async def run(self, job: _Job) -> Outcome:
        """Run a program when its turn comes."""
        try:
            return await asyncio.wrap_future(self._threads.submit(self._run, job))
        except asyncio.CancelledError:
            job.stop()
            raise

    def examine(self) -> dict[str, Any]:
        """What walls there are; UsageError where there are too few."""
        warden = self._take()
        self._give_back(warden)
        return warden.about

    def close(self) -> None:
        """End all wardens."""
        with self._lock:
            wardens, self._all, self._idle = self._all, set(), []
        for warden in wardens:
            warden.end()

    def _run(self, job: _Job) -> Outcome:
        failure: Exception = SteelyardError("the program was given up")
        for _ in range(_TRIES):
            warden = job.warden = self._take()
            if job.stopped:
                self._drop(warden)
                break
            try:
                outcome = warden.run(job)
            except _Broken as error:
                self._drop(warden)
                failure = SteelyardError(f"the process that runs programs broke: {error}")
            else:
                job.warden = None
                self._give_back(warden)
                return outcome
        raise failure

    def _take(self) -> _Warden:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        warden = self._start()
        with self._lock:
            self._all.add(warden)
        return warden

    def _give_back(self, warden: _Warden) -> None:
        with self._lock:
            self._idle.append(warden)

    def _drop(self, warden: _Warden) -> None:
        warden.end()
        with self._lock:
            self._all.discard(warden)

    def _start(self) -> _Warden:
        if sys.platform != "linux":
            raise UsageError(f"programs cannot be run safely on {sys.platform}", hint=_NEEDS)
        try:
            warden = _Warden(self._folders)
        except (OSError, _Broken) as error:
            raise SteelyardError(f"the process that runs programs does not start: {error}") from error
        try:
            if missing := warden.about.get("missing"):
                raise UsageError(f"programs cannot be run safely here: {missing}", hint=_NEEDS)
            probed = warden.run(_Job({"source": _PROBE, "tests": _PROBED, "entry": ""}, 10.0))
            if not probed.passed:
                raise UsageError(f"programs cannot be run safely here: {probed.detail}", hint=_NEEDS)
        except _Broken as error:
            warden.end()
            raise UsageError(f"programs cannot be run safely here: {error}", hint=_NEEDS) from error
        except UsageError:
            warden.end()
            raise
        return warden


async def run_program(
    source: str,
    *,
    tests: str = "",
    entry: str = "",
    timeout: float = 3.0,
    memory_bytes: int = _MEMORY_BYTES,
    output_bytes: int = _OUTPUT_BYTES,
    folders: Sequence[str] = (),
) -> Outcome:
    """Run a program and then its tests behind walls, in the same namespace, and tell how that ended.

    `timeout` is in seconds of CPU time, of which it may take four times as many by the clock. In the tests
    Python's own names mean what they always do, but for `entry`, the name of what is tried. Modules of
    `folders` can be imported beside Python's own.
    """
    if not 0 < timeout < float("inf"):
        raise UsageError(f"timeout is {timeout}", hint="it must be a number of seconds above 0")
    if memory_bytes < _LEAST_BYTES:
        raise UsageError(f"memory_bytes is {memory_bytes}", hint=f"Python alone needs {_LEAST_BYTES:,}")
    if output_bytes < 0:
        raise UsageError(f"output_bytes is {output_bytes}", hint="it must be at least 0")
    job = _Job({"source": source, "tests": tests, "entry": entry}, timeout, memory_bytes, output_bytes)
    return await _sandbox(os.getpid(), tuple(map(str, folders))).run(job)


def examine_walls() -> dict[str, Any]:
    """What stands around programs here; UsageError where they cannot be run."""
    return _sandbox(os.getpid(), ()).examine()


@cache
def _sandbox(process: int, folders: tuple[str, ...]) -> Sandbox:
    """One for all programs of a process; one that was forked has none of its parent's."""
    return Sandbox(folders)
