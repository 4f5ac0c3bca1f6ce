"""Metrics of IFEval: whether answers follow the instructions that their prompts hold.

ifeval                   strict and loose: whether an answer follows all of its instructions
instructions_strict      the share of all instructions, over the whole set, that are followed
instructions_loose       the same, of the best of an answer without its first or last line or asterisks
instruction_kinds        which kinds are followed, each by its name
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.errors import DataError
from steelyard.metrics.base import Corpus
from steelyard.metrics.extraction import find_text
from steelyard.metrics.instructions.kinds import follows, follows_loosely
from steelyard.types import Response, Sample


class PromptsFollowed:
    """Whether an answer follows all instructions of its prompt, strictly and loosely."""

    name = ref = "ifeval"

    def __call__(self, sample: Sample, response: Response) -> Mapping[str, bool]:
        text, asked = _said(response), instructions_of(sample)
        return {"strict": all(follows(text, *asked)), "loose": all(follows_loosely(text, *asked))}

    def parts(self, sample: Sample) -> list[str]:
        """The names of the scores that an answer to this sample has."""
        return ["strict", "loose"]


class InstructionsFollowed(Corpus):
    """The share of the instructions of all prompts that are followed."""

    def __init__(self, name: str, *, loose: bool) -> None:
        self.name = self.ref = name
        self.loose = loose

    def __call__(self, sample: Sample, response: Response) -> Sequence[int]:
        names, options = instructions_of(sample)
        if response.error is not None:
            return [0, len(names)]
        check = follows_loosely if self.loose else follows
        return [sum(check(_said(response), names, options)), len(names)]

    def combine(self, statistics: Sequence[Sequence[Any]]) -> float | None:
        """Those that are followed, of all."""
        total = sum(count for _, count in statistics)
        return sum(followed for followed, _ in statistics) / total if total else None


class KindsFollowed:
    """Which kinds of instructions an answer follows strictly; one that is given twice, both times."""

    name = ref = "instruction_kinds"

    def __call__(self, sample: Sample, response: Response) -> Mapping[str, bool]:
        names, options = instructions_of(sample)
        found: dict[str, bool] = {}
        for name, followed in zip(names, follows(_said(response), names, options)):
            found[name] = followed and found.get(name, True)
        return found

    def parts(self, sample: Sample) -> list[str]:
        """The names of the scores that an answer to this sample has."""
        return list(dict.fromkeys(instructions_of(sample)[0]))


ifeval = PromptsFollowed()
instructions_strict = InstructionsFollowed("instructions_strict", loose=False)
instructions_loose = InstructionsFollowed("instructions_loose", loose=True)
instruction_kinds = KindsFollowed()


def instructions_of(sample: Sample) -> tuple[Sequence[str], Sequence[Mapping[str, Any]]]:
    """The names of the instructions of a sample, and the options of each."""
    names, options = sample.meta.get("instruction_id_list"), sample.meta.get("kwargs")
    if not isinstance(names, (list, tuple)) or not isinstance(options, (list, tuple)):
        hint = "columns instruction_id_list and kwargs, as IFEval has them"
        raise DataError(f"sample {sample.id!r} has no instructions", hint=hint)
    return names, [one or {} for one in options]


def _said(response: Response) -> str:
    return str(find_text(response.text).value or "")
