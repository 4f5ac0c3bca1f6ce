"""A program and its tests, run inside the walls, and what is told of them.

Nothing that the program could reach says that it passed: what says it is a token that is shown nowhere while
the program and its tests run, and that is written when both are through.
"""

from __future__ import annotations

import builtins
import errno
import os
import resource
import sys
from collections.abc import Callable, Iterator
from functools import partial
from operator import methodcaller
from types import CodeType, ModuleType
from typing import Any, NoReturn

from steelyard.sandbox.outcomes import ASSERTION, EXCEPTION, EXIT, FORBIDDEN, MEMORY, SYNTAX

Stage = Callable[[], object]

_LONGEST = 1000
# A program is no `__main__`: what it does when it is run by hand is not what is tried.
_NAME = "program"
_REFUSED = frozenset(
    {"sys.settrace", "sys.setprofile", "sys.monitoring.register_callback", "sys.addaudithook"}
    | {"sys._current_frames", "sys._current_exceptions"}
    | {"gc.get_objects", "gc.get_referrers", "gc.get_referents"}
)

_OS_ERROR = OSError
_NUMBERS: dict[object, str] = {errno.ENOMEM: MEMORY, errno.EROFS: FORBIDDEN}
_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (AssertionError, ASSERTION),
    (MemoryError, MEMORY),
    (PermissionError, FORBIDDEN),
    (SystemExit, EXIT),
)


def stages_of(source: str, tests: str, entry: str, *, token: bytes, told: int) -> Iterator[Stage]:
    """What `try_out` does one after the other, all of it without a line of Python of our own."""
    program = _compile(source, "program", told)
    tried = _compile(tests, "tests", told)
    module = ModuleType(_NAME)
    sys.modules[_NAME] = module
    given, names = vars(module), dict[str, Any]()
    own = dict(vars(builtins))
    # What a program calls `sum` or `isinstance` is not what its tests call so.
    kept = {name: value for name, value in own.items() if name != entry}
    kept.update(__name__=_NAME, __builtins__=own)
    stages: list[Stage] = [
        partial(exec, program, given),
        partial(names.update, given),
        partial(names.update, kept),
        partial(exec, tried, names),
        partial(os.write, told, token),
        partial(os._exit, 0),
    ]
    return iter(stages)


def try_out(stages: Iterator[Stage], told: int) -> None:
    """Run a program, then its tests, and tell how that ended."""
    _close_shutters()
    try:
        # A list that is sorted shows nothing and is in no reach of the interpreter: a program sees neither
        # its tests nor the token. Where one of them fails, the list is gone before anything else happens.
        sorted(stages, key=methodcaller("__call__"))
    except BaseException as error:  # noqa: BLE001 - whatever a program raises is its result
        _fail(error, told)


def _compile(text: str, what: str, told: int) -> CodeType:
    try:
        return compile(text, f"<{what}>", "exec", dont_inherit=True)
    except BaseException as error:  # noqa: BLE001 - whatever it is, this is no program
        _fail(error, told, unreadable=what)


def _fail(error: BaseException, told: int, *, unreadable: str = "") -> NoReturn:
    """Tell how a program failed, and end."""
    try:
        # A program that has filled its memory leaves some to say so.
        resource.setrlimit(resource.RLIMIT_AS, (resource.getrlimit(resource.RLIMIT_AS)[1],) * 2)
        kind, said = _kind_of(error), _say(error)
        if unreadable:
            kind = SYNTAX if unreadable == "program" else EXCEPTION
            said = said if unreadable == "program" else f"the tests cannot be read: {said}"
        os.write(told, f"{kind}\n{said}".encode(errors="backslashreplace"))
    finally:
        os._exit(1)


def _kind_of(error: BaseException) -> str:
    # By its ancestors: what `isinstance` says is up to the program.
    ancestors = type(error).__mro__
    if _OS_ERROR in ancestors and (kind := _NUMBERS.get(getattr(error, "errno", None))):
        return kind
    return next((kind for one, kind in _KINDS if one in ancestors), EXCEPTION)


def _say(error: BaseException) -> str:
    """An error in a line; what a program raises may have no name and no words."""
    try:
        name = str(type(error).__name__)[:_LONGEST]
        text = " ".join(str(error)[:_LONGEST].split())
        return f"{name}: {text}" if text else name
    except BaseException:  # noqa: BLE001 - as above
        return "an exception that cannot be shown"


def _close_shutters() -> None:
    """Refuse what looks into the frames and objects of others, or moves them."""

    def judge(event: str, _: object, refused: Any = _REFUSED, refuse: Any = PermissionError) -> None:
        if event in refused:
            raise refuse(event)

    sys.addaudithook(judge)
