"""How a program can end, and how the process that runs programs is told of one."""

from __future__ import annotations

import struct
from dataclasses import dataclass

PASSED = "passed"
ASSERTION = "assertion"
EXCEPTION = "exception"
SYNTAX = "syntax"
EXIT = "exit"
CRASH = "crash"
TIME_OUT = "time-out"
MEMORY = "memory"
OUTPUT = "output"
FORBIDDEN = "forbidden"

MEANINGS = {
    PASSED: "its tests pass",
    ASSERTION: "a test is not met",
    EXCEPTION: "it raises an exception",
    SYNTAX: "it is no program",
    EXIT: "it ends before its tests do",
    CRASH: "the interpreter breaks",
    TIME_OUT: "it takes too long",
    MEMORY: "it takes too much memory",
    OUTPUT: "it writes too much",
    FORBIDDEN: "it tries what it may not",
}
"""Each kind of outcome, and what it says of a program."""

HEAD = struct.Struct("=dQQQ")
"""What goes before a program: its seconds, bytes of memory, bytes of output, and how many bytes it has."""
TOKEN_BYTES = 16
"""What stands between both: who gives it back has come to the end of the tests."""
PATIENCE = 4
"""How many times its CPU time a program may take by the clock: machines are busy, and programs sleep."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended: the kind, a line about it, the head of what it wrote, and its time in seconds."""

    kind: str
    detail: str = ""
    output: str = ""
    cpu: float = 0.0
    wall: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the program and its tests ran to their end."""
        return self.kind == PASSED
