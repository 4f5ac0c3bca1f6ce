"""Instructions about the form of an answer: lists, sections, titles, JSON, beginning and end, case."""

from __future__ import annotations

import json
import re

from steelyard.metrics.instructions.languages import is_in_language

_PLACEHOLDER = re.compile(r"\[.*?\]")
_BULLETS = (re.compile(r"^\s*\*[^*].*$", re.M), re.compile(r"^\s*-.*$", re.M))
_HIGHLIGHTED = (re.compile(r"\*([^\n*]*)\*"), re.compile(r"\*\*([^\n*]*)\*\*"))
_TITLE = re.compile(r"<<[^\n]+>>")
_POSTSCRIPTS = {
    "P.P.S": re.compile(r"\s*p\.\s?p\.\s?s.*$", re.M),
    "P.S.": re.compile(r"\s*p\.\s?s\..*$", re.M),
}
_CHOICES = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_FENCE = re.compile(r"\A```(?:json)?", re.I)


def has_placeholders(text: str, num_placeholders: int) -> bool:
    """Whether there are at least so many [places to be filled]."""
    return len(_PLACEHOLDER.findall(text)) >= num_placeholders


def has_postscript(text: str, postscript_marker: str) -> bool:
    """Whether there is a postscript after its marker."""
    pattern = _POSTSCRIPTS.get(postscript_marker)
    if pattern is None:
        return postscript_marker.lower() in text.lower()
    return pattern.search(text.lower()) is not None


def has_bullets(text: str, num_bullets: int) -> bool:
    """Whether there are just so many bullet points."""
    return sum(len(pattern.findall(text)) for pattern in _BULLETS) == num_bullets


def is_one_of_choices(text: str) -> bool:
    """Whether one of the three answers that are allowed stands there."""
    return any(choice in text for choice in _CHOICES)


def has_highlights(text: str, num_highlights: int) -> bool:
    """Whether at least so many parts stand between single or double asterisks."""
    return (
        sum(bool(inner.strip()) for pattern in _HIGHLIGHTED for inner in pattern.findall(text))
        >= num_highlights
    )


def has_sections(text: str, section_spliter: str, num_sections: int) -> bool:
    """Whether there are at least so many sections, each after its word and number."""
    pattern = rf"\s?{re.escape(section_spliter)}\s?\d+\s?"
    return len(re.split(pattern, text)) - 1 >= num_sections


def is_json(text: str) -> bool:
    """Whether the whole answer is JSON, in a fence or not."""
    inner = _FENCE.sub("", text.strip()).removesuffix("```").strip()
    try:
        json.loads(inner)
    except (ValueError, RecursionError):
        return False
    return True


def has_title(text: str) -> bool:
    """Whether there is a <<title>>."""
    return any(found.strip("<>").strip() for found in _TITLE.findall(text))


def has_two_responses(text: str) -> bool:
    """Whether there are two different answers with six asterisks between them."""
    responses = text.split("******")
    if not all(response.strip() for response in responses[1:-1]):
        return False
    said = [response.strip() for response in responses if response.strip()]
    return len(said) == 2 and said[0] != said[1]


def repeats_prompt(text: str, prompt_to_repeat: str) -> bool:
    """Whether the answer begins with the request."""
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


def ends_with(text: str, end_phrase: str) -> bool:
    """Whether the answer ends with a phrase and nothing after it."""
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def is_quoted(text: str) -> bool:
    """Whether the whole answer stands in double quotes."""
    stripped = text.strip()
    return len(stripped) > 1 and stripped[0] == stripped[-1] == '"'


def has_no_comma(text: str) -> bool:
    """Whether there is no comma."""
    return "," not in text


def is_in_capitals(text: str) -> bool:
    """Whether the answer is English, all in capitals."""
    return text.isupper() and is_in_language(text, "en")


def is_in_lowercase(text: str) -> bool:
    """Whether the answer is English without capitals."""
    return text.islower() and is_in_language(text, "en")
