"""What was found: a Finding for each cause that answers may differ by, all together Findings.

found = check_parity(a, b)
found.alike                                  False
[one.cause for one in found.differing]       ["BOS", "max tokens"]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Verdict = Literal["same", "noise", "differs", "unknown"]

FAILURES = "failures"
TEMPLATE = "chat template"
BOS = "BOS"
SYSTEM = "system prompt"
TOKENIZER = "tokenizer"
SPACE = "whitespace"
TRUNCATION = "truncation"
SAMPLING = "sampling defaults"
MAX_TOKENS = "max tokens"
STOP = "stop words"
WEIGHTS = "weights"
NOISE = "dtype noise"
UNEXPLAINED = "unexplained"

CAUSES = (
    FAILURES, TEMPLATE, BOS, SYSTEM, TOKENIZER, SPACE, TRUNCATION, SAMPLING, MAX_TOKENS, STOP, WEIGHTS,
    NOISE, UNEXPLAINED,
)  # fmt: skip
PROMPT_CAUSES = frozenset((TEMPLATE, BOS, SYSTEM, TOKENIZER, SPACE, TRUNCATION))
"""Those by which the sides answer other prompts, so that nothing else can be seen in what they say."""


@dataclass(frozen=True)
class Finding:
    """One cause: whether it was seen, by what, at which question, and what mends it."""

    cause: str
    verdict: Verdict
    evidence: str
    example: str = ""
    mend: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Findings:
    """All that was looked for between two ways to a model, which are called A and B."""

    a: str
    b: str
    findings: Sequence[Finding]
    asked: int
    path: Path | None = None

    @property
    def alike(self) -> bool:
        """Whether nothing was seen to differ but noise."""
        return not self.differing

    @property
    def differing(self) -> list[Finding]:
        """What differs."""
        return [one for one in self.findings if one.verdict == "differs"]

    def of(self, cause: str) -> Finding:
        """What was found of one cause."""
        return next(one for one in self.findings if one.cause == cause)

    def as_document(self) -> dict[str, Any]:
        """All of it for machines."""
        return {
            "a": self.a,
            "b": self.b,
            "alike": self.alike,
            "asked": self.asked,
            "path": None if self.path is None else str(self.path),
            "findings": [asdict(one) for one in self.findings],
        }


def in_order(found: Sequence[Finding]) -> list[Finding]:
    """The findings as they are shown: what decides over the rest comes first."""
    return sorted(found, key=lambda one: CAUSES.index(one.cause))
