"""Clinical correctness: whether an answer and its reference say the same finding.

The words of one are the words of the other, or stand in it side by side: "Myocardial infarction."
is right for "acute myocardial infarction", "fraction" is not right for "infarction".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from steelyard.types import Response, Sample

_WORD = re.compile(r"[^\W_]+")


def clinical_correctness(sample: Sample, response: Response) -> bool | None:
    """Equal, or one contained in the other, letter case and punctuation aside; of several references any."""
    targets = sample.target if isinstance(sample.target, (list, tuple)) else [sample.target]
    references = [words for target in targets if (words := _words(target))]
    if not references:
        return None
    answer = _words(response.text)
    return bool(answer) and any(_holds(answer, words) or _holds(words, answer) for words in references)


def _words(text: Any) -> list[str]:
    return [] if text is None else _WORD.findall(unicodedata.normalize("NFKC", str(text)).casefold())


def _holds(words: Sequence[str], part: Sequence[str]) -> bool:
    """Whether `part` stands in `words`, side by side."""
    size = len(part)
    return any(words[start : start + size] == part for start in range(len(words) - size + 1))
