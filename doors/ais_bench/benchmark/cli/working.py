"""Pieces of work done one after the other or several at a time; one that fails stops no other."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ais_bench.benchmark.outcome.notes import Log
from ais_bench.benchmark.outcome.outputs import Outputs
from steelyard.cli.screen import printable, tell
from steelyard.errors import Interrupted, SteelyardError, UsageError, describe

_STOPPED = 130


@dataclass(frozen=True)
class Ending:
    """How a pair ended; `error` is empty where it came to its end."""

    error: str = ""
    hint: str = ""
    usage: bool = False
    stopped: bool = False


class Titled(Protocol):
    """A piece of work with the names that its log lies under."""

    @property
    def abbr(self) -> str:
        """What results call the model."""
        ...

    @property
    def name(self) -> str:
        """What results call what it is asked."""
        ...

    @property
    def title(self) -> str:
        """Both names."""
        ...


T = TypeVar("T", bound=Titled)


def work_on(
    pairs: Sequence[T], work: Callable[[T], None], outputs: Outputs, *, workers: int = 1
) -> list[Ending]:
    """Do the work on all pairs, `workers` at a time, each in a process of its own where several are."""
    forks = "fork" in multiprocessing.get_all_start_methods()
    if workers == 1 or len(pairs) == 1 or not forks:
        return [_work(pair, work, outputs) for pair in pairs]
    global _shared
    # A process that is forked has the pairs already: classes of configuration files are never sent.
    _shared = (pairs, work, outputs)
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(min(workers, len(pairs)), mp_context=context) as pool:
        try:
            return list(pool.map(_work_on_number, range(len(pairs))))
        except KeyboardInterrupt:
            # The others were interrupted too, and are storing what they have.
            pool.shutdown(cancel_futures=True)
            raise


def end_others() -> None:
    """Tell the processes that this one began to end, which store what they have."""
    for child in multiprocessing.active_children():
        child.terminate()


_shared: tuple[Sequence[Any], Callable[[Any], None], Outputs]


def _work_on_number(number: int) -> Ending:
    pairs, work, outputs = _shared
    try:
        return _work(pairs[number], work, outputs)
    except Interrupted:
        return Ending("stopped", stopped=True)


def _work(pair: T, work: Callable[[T], None], outputs: Outputs) -> Ending:
    try:
        work(pair)
    except Interrupted:
        raise
    except Exception as error:  # noqa: BLE001 - told and kept in the log; the other pairs go on
        Log(outputs.log(pair.abbr, pair.name)).note_error(error)
        if isinstance(error, SteelyardError):
            return Ending(str(error.args[0]), error.hint, usage=isinstance(error, UsageError))
        return Ending(describe(error), f"see {outputs.log(pair.abbr, pair.name)}")
    return Ending()


def tell_ending(title: str, ending: Ending) -> int:
    """Say why a piece of work did not come to its end; the exit code that it asks for."""
    tell(f"ais_bench: error: {title}: {printable(' '.join(ending.error.split()))}")
    if ending.hint:
        tell(f"hint: {printable(' '.join(ending.hint.split()))}")
    return _STOPPED if ending.stopped else 2 if ending.usage else 1


def exit_code(codes: Sequence[int], count: int) -> int:
    """The exit code of so many pieces of work, of those that went wrong."""
    if _STOPPED in codes:
        return _STOPPED
    # Where every one was refused nothing was asked, and the command is what is wrong.
    return 2 if len(codes) == count and set(codes) == {2} else min(1, len(codes))
