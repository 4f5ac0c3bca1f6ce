"""A program and its tests, run inside the walls, and what is told of them.

Nothing that the program could reach says that it passed: what says it is a token that no Python object
shows while the program and its tests run, and that is written when both are through.
"""

from __future__ import annotations

import builtins
import errno
import os
import resource
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from steelyard.sandbox.outcomes import ASSERTION, EXCEPTION, EXIT, FORBIDDEN, MEMORY, SYNTAX

_LONGEST = 1000
_REFUSED = frozenset(
    {"sys.settrace", "sys.setprofile", "sys._current_frames", "sys._current_exceptions"}
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


def stages_of(source: str, tests: str, entry: str, token: bytes) -> list[Any]:
    """What `try_out` takes: a program, its tests with Python's own names as they still are, the token."""
    return [("program", source, None, ""), ("tests", tests, dict(vars(builtins)), entry), token]


def try_out(stages: list[Any], told: int) -> NoReturn:
    """Run a program, then its tests, and tell how that ended."""
    _close_shutters()
    write, leave = os.write, os._exit
    # While a list is sorted it shows nothing, and what it holds is in no reach of the interpreter: a
    # program sees neither its tests nor the token, which is here again only when both have ended well.
    stages.sort(key=_make_step(told))
    write(told, stages[-1])
    leave(0)


def _make_step(told: int) -> Callable[[Any], Any]:
    """What runs a stage, with all that it needs for itself: a program may change what others use."""
    given: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}

    def step(
        stage: Any,
        *,
        names: dict[str, Any] = given,
        compile: Any = compile,  # noqa: A002 - the very same
        execute: Any = exec,
        kind_of: Any = type,
        token: Any = bytes,
        fail: Any = _fail,
    ) -> Any:
        if kind_of(stage) is token:
            return 0
        what, text, own, entry = stage
        del stage
        try:
            code = compile(text, f"<{what}>", "exec", dont_inherit=True)
            del text
        except BaseException as error:  # noqa: BLE001 - whatever it is, this is no program
            fail(error, told, unreadable=what)
            return None
        if own is not None:
            # What a program calls `sum` or `isinstance` is not what its tests call so.
            theirs = {name: value for name, value in names.items() if name not in own or name == entry}
            names = {**theirs, "__builtins__": own}
        try:
            execute(code, names)
        except BaseException as error:  # noqa: BLE001 - whatever a program raises is its result
            fail(error, told)
            # No key that others can be compared with: whatever `fail` was made to be, the sorting ends here.
            return None
        return 0

    return step


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
