"""What an extraction is, and the marks that models set before their final answer.

>>> marks = find_marks("2 + 2 = 4. The answer is 4.")
>>> [(mark.rule, mark.start, mark.end) for mark in marks]
[('answer is', 25, 26)]
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Union

from steelyard.types import Sample

Answer = Union[str, int, float, None]


@dataclass(frozen=True, slots=True)
class Extraction:
    """The final answer in a text: its value, the rule that found it, and where it stands.

    A value of None comes with the rule "nothing" (no answer there) or "ambiguous" (several).
    """

    value: Answer
    rule: str
    start: int = 0
    end: int = 0


Extractor = Callable[[str, Sample], Extraction]
"""Takes the text of an answer and the sample it answers, whose options may be needed."""

NOTHING = Extraction(None, "nothing")


class Mark(NamedTuple):
    """A place that a text itself calls its answer."""

    rule: str
    start: int
    end: int


# One character for one, so that places in the plain text are places in the original.
_PLAIN = {
    **{ord(c): c0 for c, c0 in zip("−﹣－‐‑–—’‘“”：，．（）［］＄％／＝", "-------''\"\":,.()[]$%/=")},
    **{0xFF10 + i: chr(0x30 + i) for i in range(10)},
    **{0xFF21 + i: chr(0x41 + i) for i in range(26)},
    **dict.fromkeys((0x2007, 0x2008, 0x2009, 0x202F), "\u00a0"),
}
_THINKING = re.compile(r"<(think|thinking|thought|reasoning)>.*?(?:</\1>|\Z)", re.S | re.I)
_THOUGHT = re.compile(r"\A.*</(?:think|thinking|thought|reasoning)>", re.S | re.I)

_ANSWER = re.compile(
    r"""
    \b(?:answers?|ans)\b [*_"'`)\]]* \s*
    (?:
        (?:,[^,.\n]{1,30},)? [^.\n:=!?,]{0,40}?
        \b(?:is|are|was|will\s+be|would\s+be|should\s+be|must\s+be|has\s+to\s+be|comes?\s+(?:out\s+)?to|equals)\b
        (?!\s+(?:\w+ly\s+)?not\b)
        (?!\s+(?:found|obtained|calculated|computed|given|determined|derived|reached|wrong|incorrect)\b)
      | \.?\s*(?:[:=→]|->|-(?=\s))
      | \.(?=\s*[\d(])
      | [ \t*_]*(?=\n)
    )
    (?:\s|[:*_"'`]|->)*
    | (?:答案|Ответ|Antwort|[Rr]éponse|[Rr]espuesta|[Rr]isposta|[Rr]esposta)
      (?:[^.\n:=!?]{0,20}?(?:(?<![不非])[是为為]|:|=|\b(?:ist|lautet|est|es|è|é|равен)\b)) [\s:*_]*
    """,
    re.X | re.I,
)
_COLON = re.compile(r"\A\w+[*_\"'`)\]]*\s*[:.→-]")
_TAG = re.compile(r"<answer>\s*(.*?)\s*</answer>", re.S | re.I)
_HASHES = re.compile(r"####[ \t*]*(?=[-+$€£¥₹\\]*[ \t]*\.?\d|\(?[A-Z]\)?[ \t.*]*$)", re.M)
_MOST = 20
_BRACE = re.compile(r"(?<!\\)[{}]")
_BOX = re.compile(r"\\(?:boxed|fbox)\s*(\{|\w)")
_STOP = re.compile(r"\n|(?<!\bRs)(?<!approx)(?<!\bca)(?<!\bNo)(?<!\bvs)[.!?](?=[\s*_\"')]|\\[)\]]|\Z)")
_OPEN = re.compile(r"[\s*_:$#>`]*\\?[\[(]?\s*\Z|[^\n]*:[\s*_]*\Z")


def make_plain(text: str) -> str:
    """The text with reasoning blanked and look-alike characters made plain, of the same length."""
    return blank_reasoning(text).translate(_PLAIN)


def blank_reasoning(text: str) -> str:
    """The text with blanks in the place of what stands between <think> tags."""
    text = _THINKING.sub(_blank, text)
    # Only the end of the reasoning is there where the template of the prompt opened it.
    return _THOUGHT.sub(_blank, text)


def cut_reasoning(text: str) -> str:
    """The text without what stands between <think> tags."""
    return _THINKING.sub("", text)


def find_marks(text: str) -> list[Mark]:
    """The last places a text calls its answer, in order: answer is, answer:, ####, boxed, answer tag."""
    marks = [Mark("answer tag", *found.span(1)) for found in _TAG.finditer(text)]
    marks += [Mark("boxed", start, end) for start, end in find_boxes(text)]
    marks += [Mark("####", found.end(), -1) for found in _HASHES.finditer(text)]
    for found in _ANSWER.finditer(text):
        marks.append(Mark("answer:" if _COLON.search(found[0]) else "answer is", found.end(), -1))
    last = sorted(marks, key=lambda mark: mark.start)[-_MOST:]
    return [mark if mark.end >= 0 else mark._replace(end=_clause_end(text, mark.start)) for mark in last]


def find_boxes(text: str) -> list[tuple[int, int]]:
    """The place of what each closed \\boxed{…} holds."""
    starts = {found.start(1): found[1] for found in _BOX.finditer(text)}
    boxes = [(start, start + 1) for start, opening in starts.items() if opening != "{"]
    if not starts:
        return boxes
    opened = []
    for found in _BRACE.finditer(text):
        if found[0] == "{":
            opened.append(found.start())
        elif opened and (start := opened.pop()) in starts:
            boxes.append((start + 1, found.start()))
    return sorted(boxes)


def _clause_end(text: str, start: int) -> int:
    """Where the sentence or line ends; one that only opens ("The answer is:") takes in the next."""
    end = start
    for _ in range(3):
        stop = _STOP.search(text, end)
        if stop is None:
            return len(text)
        end = stop.start()
        if stop[0] != "\n" or not _OPEN.match(text[start:end]):
            return end
        end = stop.end()
    return end


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])
