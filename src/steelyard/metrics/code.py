"""The metric of programs: whether one passes the tests of its sample, run behind walls.

    {"code_passes": True, "code_passes.outcome": "passed"}
    {"code_passes": False, "code_passes.outcome": "exception (NameError)"}

A sample has its tests in `meta["test"]`; where they define `check`, it is called with the function that
`meta["entry_point"]` names.
"""

from __future__ import annotations

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
    if not entry:
        return tests
    if not entry.isidentifier():
        raise DataError(f"sample {sample.id!r} has the entry_point {entry!r}", hint="it must be a name")
    return f"{tests}\n\ncheck({entry})\n" if _CHECK.search(tests) else tests


def _program_of(text: str, sample: Sample, entry: str) -> str:
    """The program that a text is already, or that is in it."""
    if entry and ("```" in text or not re.search(rf"^(?:async\s+)?def\s+{entry}\s*\(", text, re.M)):
        return str(find_program(text, sample).value or "")
    return text


def _label(outcome: Outcome) -> str:
    """The kind of an outcome; of exceptions also which."""
    named = _NAMED.match(outcome.detail) if outcome.kind == EXCEPTION else None
    return f"{outcome.kind} ({named[1]})" if named else outcome.kind
