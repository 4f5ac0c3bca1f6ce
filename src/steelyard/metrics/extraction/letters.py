"""The option, by letter, that a text chooses.

>>> find_letter("I think A is wrong, so B.")
Extraction(value='B', rule='so', start=23, end=24)
>>> find_letter("It is Paris.", Sample("1", "", choices=["Rome", "Paris"]))
Extraction(value='B', rule='option text', start=6, end=11)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from steelyard.metrics.extraction.base import NOTHING, Extraction, Mark, find_marks, make_plain
from steelyard.metrics.extraction.phrases import (
    AFTER_OPTION,
    BESIDE,
    CALLED,
    CHOSEN,
    CORRECT,
    EDGE,
    EITHER_SIDE,
    ENUMERATED,
    LAST_SENTENCE,
    LEADING,
    LETTERS,
    PICK,
    REJECTED,
    RIGHT,
    SEVERAL,
    STANDALONE,
    VERDICT,
    WRAPPED,
)
from steelyard.types import Sample


def find_letter(text: str, sample: Sample | None = None) -> Extraction:
    """The letter of the option a text chooses: as marked, alone, concluded, in front, by its text."""
    choices = list((sample.choices if sample is not None else None) or ())
    plain = make_plain(text)
    if not plain.strip():
        return NOTHING
    known = LETTERS[: len(choices)] if choices else LETTERS
    for find in (
        _marked,
        _alone,
        _whole_option,
        _in_chinese,
        _concluded,
        _leading,
        _last_line,
        _by_text,
        _only,
    ):
        found = find(plain, known, choices)
        if found is not None:
            return found
    return NOTHING


def _marked(plain: str, known: str, choices: Sequence[str]) -> Extraction | None:
    """What stands in the last place that the text calls its answer."""
    for mark in reversed(find_marks(plain)):
        found = _pick(plain, mark, known) or _text_in(plain, mark, choices)
        if found is not None:
            return found
    return None


def _pick(plain: str, mark: Mark, known: str) -> Extraction | None:
    """A letter in front of a clause; two of them are ambiguous."""
    found = PICK.match(plain, mark.start, mark.end)
    # A stop ends a clause, and may be what shows that a letter is not a word.
    stop = min(mark.end + 1, len(plain))
    if found is None or not _is_option(plain[:stop], found, known):
        return None
    return _single(plain, found, mark.rule, mark.end)


def _alone(plain: str, known: str, choices: Sequence[str]) -> Extraction | None:
    """A text that is nothing but a letter."""
    inner = WRAPPED.sub(r"\1", plain).strip(EDGE + "$\\{}<>#")
    inner = CALLED.sub("", inner)
    if len(inner) != 1 or inner.upper() not in known:
        return None
    at = re.search(rf"(?<!\w){re.escape(inner)}(?!\w)", plain)
    start = at.start() if at else 0
    return Extraction(inner.upper(), "letter alone", start, start + 1)


def _whole_option(plain: str, known: str, choices: Sequence[str]) -> Extraction | None:
    """A text that is nothing but the text of an option."""
    return _equal_text(plain, Mark("option text", 0, len(plain)), choices)


def _in_chinese(plain: str, known: str, choices: Sequence[str]) -> Extraction | None:
    """What the last phrase chooses or calls right: "故选C", "正确选项是C", "C选项正确"."""
    for pattern, rule in ((CHOSEN, "choose"), (CORRECT, "is correct")):
        found = [match for match in pattern.finditer(plain) if match["letter"] in known]
        if not found:
            continue
        other = BESIDE.match(plain, found[-1].end("letter"))
        if other is not None and other["letter"] in known:
            return Extraction(None, "ambiguous", found[-1].start("letter"), other.end("letter"))
        return Extraction(found[-1]["letter"], rule, *found[-1].span("letter"))
    return None


def _concluded(plain: str, known: str, choices: Sequence[str]) -> Extraction | None:
    """What the last conclusion chooses: "so B", "I'd go with (C)", "B is correct"."""
    rejected = _rejected(plain)
    best: Extraction | None = None
    for verdict in VERDICT.finditer(plain):
        found = PICK.match(plain, verdict.end())
        if found is None or not _is_option(plain, found, known) or found.span("letter") in rejected:
            continue
        best = _single(plain, found, verdict.lastgroup or "so", len(plain))
    for found in RIGHT.finditer(plain):
        if found["letter"] not in known or EITHER_SIDE.search(plain, 0, found.start()):
            continue
        if best is None or found.start("letter") > best.start:
            best = Extraction(found["letter"], "is correct", *found.span("letter"))
    return best


def _leading(plain: str, known: str, choices: Sequence[str]) -> Extraction | None:
    """A letter that the text begins with, where it is not the first of a list of all options."""
    found = LEADING.match(plain, len(plain) - len(plain.lstrip()))
    if found is None or found.span("letter") in _rejected(plain):
        return None
    if not (_is_option(plain, found, known) or _is_followed_by_text(plain, found, choices)):
        return None
    listed = {item["letter"] for item in ENUMERATED.finditer(plain)} & set(known)
    if len(listed) > 1:
        return Extraction(None, "ambiguous", *found.span("letter"))
    if found["letter"].islower() and not re.match(r"[)\].:*]", plain[found.end() :]):
        return None
    return _single(plain, found, "letter in front", len(plain))


def _last_line(plain: str, known: str, choices: Sequence[str]) -> Extraction | None:
    """A last line or sentence that is nothing but a letter or the text of an option."""
    end = len(plain.rstrip())
    last = LAST_SENTENCE.search(plain, 0, end)
    start = max(plain.rfind("\n", 0, end) + 1, last.start(1) if last else 0)
    if start == 0:
        return None
    found = _alone(plain[start:end], known, choices)
    if found is not None:
        return Extraction(found.value, "last line", start + found.start, start + found.end)
    return _equal_text(plain, Mark("last line", start, end), choices)


def _by_text(plain: str, known: str, choices: Sequence[str]) -> Extraction | None:
    """The one option whose text occurs; where several do, it is ambiguous."""
    hits = list(_occurrences(plain, choices))
    if not hits:
        return None
    if len({option for option, _, _ in hits}) > 1:
        return Extraction(None, "ambiguous", hits[0][1], hits[-1][2])
    option, start, end = hits[-1]
    return Extraction(LETTERS[option], "option text", start, end)


def _only(plain: str, known: str, choices: Sequence[str]) -> Extraction | None:
    """The one letter that is named at all and not rejected."""
    rejected = {plain[start:end] for start, end in _rejected(plain)}
    named: dict[str, re.Match[str]] = {}
    for found in STANDALONE.finditer(plain):
        if found["letter"] in known and (found["letter"] not in "AI" or _ends(plain, found)):
            named[found["letter"]] = found
    left = [found for letter, found in named.items() if letter not in rejected]
    if len(left) == 1 and _ends(plain, left[0]):
        return Extraction(left[0]["letter"], "only letter", *left[0].span("letter"))
    if len(left) > 1:
        return Extraction(None, "ambiguous", left[0].start(), left[-1].end())
    return None


def _rejected(plain: str) -> set[tuple[int, int]]:
    """Where letters stand that the text calls wrong."""
    groups = range(1, REJECTED.groups + 1)
    return {found.span(n) for found in REJECTED.finditer(plain) for n in groups if found[n]}


def _is_option(plain: str, found: re.Match[str], known: str) -> bool:
    """Whether a matched letter is an option and not a word ("a", "I") or another letter."""
    letter = found["letter"]
    if letter.upper() not in known:
        return False
    enclosed = plain[found.start("letter") - 1 : found.start("letter")] in ("(", "[", "*", "`", "{", '"')
    closed = plain[found.end("letter") : found.end("letter") + 1] in (
        ")",
        "]",
        "*",
        "`",
        "}",
        '"',
        ".",
        ":",
        "",
    )
    if letter.islower() or letter in "AI":
        return (enclosed and closed) or _ends(plain, found)
    return True


def _ends(plain: str, found: re.Match[str]) -> bool:
    """Whether what follows a matched letter shows that it is no word of a sentence."""
    return AFTER_OPTION.match(plain, found.end("letter")) is not None


def _is_followed_by_text(plain: str, found: re.Match[str], choices: Sequence[str]) -> bool:
    """Whether a leading letter is followed by the very option: "A Paris"."""
    place = LETTERS.find(found["letter"].upper())
    rest = plain[found.end() :].strip(EDGE).casefold()
    return 0 <= place < len(choices) and rest.startswith(choices[place].strip(EDGE).casefold())


def _single(plain: str, found: re.Match[str], rule: str, end: int) -> Extraction:
    """The letter found, unless another one is chosen beside it."""
    other = SEVERAL.match(plain, found.end("letter"), end)
    if other is not None and other["letter"].upper() != found["letter"].upper() and other["letter"] != "I":
        return Extraction(None, "ambiguous", found.start("letter"), other.end())
    return Extraction(found["letter"].upper(), rule, *found.span("letter"))


def _equal_text(plain: str, mark: Mark, choices: Sequence[str]) -> Extraction | None:
    inner = plain[mark.start : mark.end].strip(EDGE).casefold()
    equal = [n for n, choice in enumerate(choices) if choice.strip(EDGE).casefold() == inner]
    if inner and len(equal) == 1:
        return Extraction(LETTERS[equal[0]], mark.rule, mark.start, mark.end)
    return None


def _text_in(plain: str, mark: Mark, choices: Sequence[str]) -> Extraction | None:
    """The option whose text a marked clause holds."""
    equal = _equal_text(plain, mark, choices)
    if equal is not None:
        return equal
    hits = [hit for hit in _occurrences(plain, choices) if mark.start <= hit[1] and hit[2] <= mark.end]
    if len({option for option, _, _ in hits}) != 1:
        return Extraction(None, "ambiguous", mark.start, mark.end) if hits else None
    option, start, end = hits[0]
    return Extraction(LETTERS[option], mark.rule, start, end)


def _occurrences(plain: str, choices: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """Where option texts stand in a text: (option, start, end); a longer one covers a shorter."""
    options = sorted(enumerate(choices), key=lambda pair: -len(pair[1]))
    texts = [(n, choice.strip(EDGE)) for n, choice in options if choice.strip(EDGE)]
    if not texts:
        return
    either = "|".join(rf"(?P<o{n}>{re.escape(choice)})" for n, choice in texts)
    for found in re.finditer(rf"(?<!\w)(?:{either})(?!\w)", plain, re.I):
        yield int((found.lastgroup or "o0")[1:]), *found.span()
