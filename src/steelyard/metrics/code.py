"""The metric of programs: whether one passes the tests of its sample, run behind walls.

    {"code_passes": True, "code_passes.outcome": "passed"}
    {"code_passes": False, "code_passes.outcome": "exception (NameError)"}

A sample has its tests in `meta["test"]`; where they define `check`, it is called with the function that
`meta["entry_point"]` names. Tests that only define things are refused: every program would pass them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from steelyard.errors import DataError
from steelyard.metrics.extraction.programs import find_program
from steelyard.sandbox.outcomes import EXCEPTION, Outcome
from steelyard.sandbox.programs import examine_walls, run_program
from steelyard.types import Response, Sample, Score

OUTCOME = "outcome"
NO_CODE = "no code"

_NAMED = re.compile(r"(\w{1,60})(?::|\Z)")
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Pass)
_CHECK = re.compile(r"^def\s+check\s*\(", re.M)


@dataclass(frozen=True, kw_only=True)
class CodePasses:
    """Whether an answer is a program that passes its tests within `timeout` seconds, and how it ended."""

    timeout: float = 3.0
    memory_bytes: int = 512 << 20
    folders: tuple[str, ...] = ()
    name: str = "code_passes"
    ref: str = "code_passes"

    @property
    def identity(self) -> Mapping[str, Any]:
        """What shapes its verdicts."""
        return {"timeout": self.timeout, "memory_bytes": self.memory_bytes, "folders": self.folders}

    def require(self) -> None:
        """Raise UsageError where programs cannot be run."""
        examine_walls()

    async def __call__(self, sample: Sample, response: Response) -> Mapping[str, Score]:
        entry = str(sample.meta.get("entry_point") or "")
        tests = _tests_of(sample, entry)
        program = _program_of(response.text, sample, entry)
        if not program.strip():
            return {"": False, OUTCOME: NO_CODE}
        outcome = await run_program(
            program,
            tests=tests,
            entry=entry,
            timeout=self.timeout,
            memory_bytes=self.memory_bytes,
            folders=self.folders,
        )
        return {"": outcome.passed, OUTCOME: _label(outcome)}


code_passes = CodePasses()


def _tests_of(sample: Sample, entry: str) -> str:
    tests = sample.meta.get("test")
    if not isinstance(tests, str) or not tests.strip():
        raise DataError(f"sample {sample.id!r} has no tests", hint="they are expected in the column test")
    if entry and not entry.isidentifier():
        raise DataError(f"sample {sample.id!r} has the entry_point {entry!r}", hint="it must be a name")
    if entry and _CHECK.search(tests):
        return f"{tests}\n\ncheck({entry})\n"
    if not _tries_something(tests):
        hint = "a check is called with what the column entry_point names; else there are to be assertions"
        raise DataError(f"the tests of sample {sample.id!r} only define things, so all would pass", hint=hint)
    return tests


def _tries_something(tests: str) -> bool:
    """Whether anything is done that could fail."""
    try:
        parts = ast.parse(tests).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # Which is told as the outcome.
        return True
    done = [part for part in parts if not isinstance(part, _DEFINITIONS)]
    values = (ast.Assign, ast.AnnAssign, ast.Expr)
    return any(
        not isinstance(part, values) or any(isinstance(one, ast.Call) for one in ast.walk(part))
        for part in done
    )


def _program_of(text: str, sample: Sample, entry: str) -> str:
    """The program that a text is already, or that is in it."""
    if entry and ("```" in text or not re.search(rf"^(?:async\s+)?def\s+{entry}\s*\(", text, re.M)):
        return str(find_program(text, sample).value or "")
    return text


def _label(outcome: Outcome) -> str:
    """The kind of an outcome; of exceptions also which."""
    named = _NAMED.match(outcome.detail) if outcome.kind == EXCEPTION else None
    return f"{outcome.kind} ({named[1]})" if named else outcome.kind
