"""Instructions about words, letters, sentences and paragraphs: what must occur, and how often."""

from __future__ import annotations

import re
import unicodedata

from steelyard.errors import DataError

_WORD = re.compile(r"\w+")
# Words in capitals are counted whole: "U.S.A." and "WELL-KNOWN" are one each.
_TOKEN = re.compile(r"\w+(?:[-./]\w+)*")
_END = re.compile(r"(?:[.!?…]+[\"'”’)\]*_]*(?=\s|\Z)|[。！？]+[”’」』）]*)")
_SHORT = re.compile(
    r"(?:^|[\s(\"'“])(?:[A-Z]|(?:[A-Za-z]\.)+[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|Rev|Gen|Sen|Rep|St|Mt|Jr|Sr|Inc|Ltd|Co|Corp"
    r"|vs|etc|No|Nos|Vol|Fig|approx|dept|est|al|cf|pp|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\Z"
    # The number of an item in a list.
    r"|(?:^|\n)[ \t]*\d+\Z"
)
_DIVIDER = re.compile(r"\s?\*\*\*\s?")
_FIRST = re.compile(r"[^.,?!'\"]*")


def has_keywords(text: str, keywords: list[str]) -> bool:
    """Whether each keyword occurs, in any case."""
    folded = text.lower()
    return all(keyword.lower() in folded for keyword in keywords)


def has_keyword_often(text: str, keyword: str, frequency: int, relation: str) -> bool:
    """Whether a keyword occurs so often."""
    return compare(text.lower().count(keyword.lower()), relation, frequency)


def avoids_words(text: str, forbidden_words: list[str]) -> bool:
    """Whether none of the words occurs as a word of its own."""
    return not any(re.search(rf"\b{re.escape(word)}\b", text, re.I) for word in forbidden_words)


def has_letter_often(text: str, letter: str, let_frequency: int, let_relation: str) -> bool:
    """Whether a letter or sign occurs so often."""
    return compare(text.lower().count(letter.lower()), let_relation, let_frequency)


def has_words(text: str, num_words: int, relation: str) -> bool:
    """Whether there are so many words."""
    # Vowel signs of Indian scripts are no word characters, and would part the words that they stand in.
    plain = "".join(char for char in text if char.isascii() or unicodedata.category(char)[0] != "M")
    return compare(len(_WORD.findall(plain)), relation, num_words)


def has_sentences(text: str, num_sentences: int, relation: str) -> bool:
    """Whether there are so many sentences."""
    return compare(count_sentences(text), relation, num_sentences)


def has_paragraphs(text: str, num_paragraphs: int) -> bool:
    """Whether there are just so many paragraphs, with *** between them."""
    paragraphs = _DIVIDER.split(text)
    if not all(paragraph.strip() for paragraph in paragraphs[1:-1]):
        return False
    return sum(bool(paragraph.strip()) for paragraph in paragraphs) == num_paragraphs


def has_first_word(text: str, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """Whether there are so many paragraphs, with blank lines between them, and one begins with a word."""
    paragraphs = text.split("\n\n")
    count = sum(bool(paragraph.strip()) for paragraph in paragraphs)
    if not 1 <= nth_paragraph <= min(count, len(paragraphs)):
        return False
    words = paragraphs[nth_paragraph - 1].split()
    if not words:
        return False
    found = _FIRST.match(words[0].lstrip("'").lstrip('"'))
    return count == num_paragraphs and found is not None and found[0].lower() == first_word.lower()


def has_capital_words(text: str, capital_frequency: int, capital_relation: str) -> bool:
    """Whether so many words are all in capitals."""
    return compare(sum(word.isupper() for word in _TOKEN.findall(text)), capital_relation, capital_frequency)


def count_sentences(text: str) -> int:
    """How many sentences there are; the stop of an abbreviation ends none."""
    count, start = 0, 0
    for found in _END.finditer(text):
        said = text[start : found.start()]
        ends_short = found[0].startswith(".") and len(found[0]) == 1 and _SHORT.search(said)
        following = text[found.end() :].lstrip()[:1]
        if not said.strip() or (following and (ends_short or following.islower())):
            continue
        count, start = count + 1, found.end()
    return count + bool(re.search(r"\w", text[start:]))


def compare(count: int, relation: str, wanted: int) -> bool:
    """Whether a count is "at least" or "less than" what is wanted."""
    if relation == "at least":
        return count >= wanted
    if relation == "less than":
        return count < wanted
    raise DataError(f"there is no relation {relation!r}", hint="at least, or less than")
