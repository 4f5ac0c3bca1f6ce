"""The kinds of instructions by their names, and whether a text follows some of them.

>>> follows("no commas here", ["punctuation:no_comma"], [{}])
[True]
>>> follows_loosely("Sure, gladly:\\nno commas here", ["punctuation:no_comma"], [{}])
[True]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from steelyard.errors import DataError, UnknownName
from steelyard.metrics.instructions import counts, forms
from steelyard.metrics.instructions.languages import is_in_language

KINDS: Mapping[str, Callable[..., bool]] = {
    "change_case:capital_word_frequency": counts.has_capital_words,
    "change_case:english_capital": forms.is_in_capitals,
    "change_case:english_lowercase": forms.is_in_lowercase,
    "combination:repeat_prompt": forms.repeats_prompt,
    "combination:two_responses": forms.has_two_responses,
    "detectable_content:number_placeholders": forms.has_placeholders,
    "detectable_content:postscript": forms.has_postscript,
    "detectable_format:constrained_response": forms.is_one_of_choices,
    "detectable_format:json_format": forms.is_json,
    "detectable_format:multiple_sections": forms.has_sections,
    "detectable_format:number_bullet_lists": forms.has_bullets,
    "detectable_format:number_highlighted_sections": forms.has_highlights,
    "detectable_format:title": forms.has_title,
    "keywords:existence": counts.has_keywords,
    "keywords:forbidden_words": counts.avoids_words,
    "keywords:frequency": counts.has_keyword_often,
    "keywords:letter_frequency": counts.has_letter_often,
    "language:response_language": is_in_language,
    "length_constraints:nth_paragraph_first_word": counts.has_first_word,
    "length_constraints:number_paragraphs": counts.has_paragraphs,
    "length_constraints:number_sentences": counts.has_sentences,
    "length_constraints:number_words": counts.has_words,
    "punctuation:no_comma": forms.has_no_comma,
    "startend:end_checker": forms.ends_with,
    "startend:quotation": forms.is_quoted,
}
"""Every kind with the check of a text against its options."""


def follows(text: str, names: Sequence[str], options: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Whether a text follows each of some instructions; one that says nothing follows none."""
    checks = [_check(name, given) for name, given in zip(names, options)]
    return [bool(text.strip()) and check(text) for check in checks]


def follows_loosely(text: str, names: Sequence[str], options: Sequence[Mapping[str, Any]]) -> list[bool]:
    """As `follows`, of the best of a text without its first line, its last line, or its asterisks."""
    checks = [_check(name, given) for name, given in zip(names, options)]
    forms_of_it = [form for form in _loosened(text) if form.strip()]
    return [any(check(form) for form in forms_of_it) for check in checks]


def _loosened(text: str) -> list[str]:
    lines = text.split("\n")
    cut = ("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))
    whole = [text, *cut]
    return list(dict.fromkeys([*whole, *(form.replace("*", "") for form in whole)]))


def _check(name: str, options: Mapping[str, Any]) -> Callable[[str], bool]:
    kind = KINDS.get(name)
    if kind is None:
        raise UnknownName("kind of instruction", name, KINDS)
    wanted = kind.__code__.co_varnames[1 : kind.__code__.co_argcount]
    if missing := [option for option in wanted if options.get(option) is None]:
        raise DataError(f"the instruction {name} has no {missing[0]}", hint="in kwargs, in the same place")
    given = {option: _whole(options[option]) for option in wanted}
    return lambda text: kind(text, **given)


def _whole(value: Any) -> Any:
    # A column of a table in which some rows are empty holds 3 as 3.0.
    return int(value) if isinstance(value, float) and value.is_integer() else value
