"""Extraction, audited on outputs labelled by hand, and its rules."""

import json
import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.builtin import BUILTINS
from steelyard.errors import UnknownName, UsageError
from steelyard.metrics.extraction import NOTHING, Extraction, extractor, find_letter, find_number
from steelyard.types import Sample

LABELLED = Path(__file__).with_name("extraction_cases.jsonl")
CASES = [json.loads(line) for line in LABELLED.read_text(encoding="utf-8").split("\n") if line]
RULES = {"nothing", "ambiguous", "answer is", "answer:", "####", "boxed", "answer tag", "last number"}
RULES |= {"spelled out", "letter alone", "option text", "so", "choose", "option", "is correct"}
RULES |= {"letter in front", "last line", "only letter", "text", "between", "regex", "last formula"}
SAMPLE = Sample("1", "")


def extract(case):
    return extractor(case["extract"])(case["text"], Sample("1", "", choices=case.get("choices")))


def is_right(value, wanted):
    if isinstance(wanted, float) and isinstance(value, (int, float)):
        return math.isclose(value, wanted)
    return value == wanted


def test_at_least_98_percent_of_each_kind_are_right():
    kinds, misses = Counter(case["extract"].split(":")[0] for case in CASES), Counter()
    shown = []
    for case in CASES:
        found = extract(case)
        if not is_right(found.value, case["value"]):
            misses[case["extract"].split(":")[0]] += 1
            shown.append(f"{case['extract']} {case['text']!r}: wanted {case['value']!r}, got {found}")
    print(f"{len(CASES)} cases, {len(shown)} misses", *shown, sep="\n")
    assert kinds["number"] >= 250 and kinds["letter"] >= 180 and len(CASES) >= 500
    for kind, count in kinds.items():
        assert misses[kind] <= 0.02 * count, shown


def test_no_rule_is_silent():
    for case in CASES:
        found = extract(case)
        assert found.rule in RULES, (case, found)
        assert (found.value is None) == (found.rule in ("nothing", "ambiguous")), (case, found)


def test_places_are_places_in_the_text():
    for case in CASES:
        found = extract(case)
        assert 0 <= found.start <= found.end <= len(case["text"])
        if found.value is not None and case["extract"] not in ("number", "letter", "text"):
            assert case["text"][found.start : found.end] == found.value


@given(st.integers(-(10**15), 10**15))
def test_a_marked_integer_is_found_however_grouped(number):
    for written in (f"{number}", f"{number:,}", f"${number:,}" if number >= 0 else f"-${-number:,}"):
        for text in (f"The answer is {written}.", f"5 + 6\n#### {written}", f"So \\boxed{{{written}}}"):
            assert find_number(text).value == number, text


@given(st.decimals(min_value=-(10**6), max_value=10**6, places=3))
def test_a_decimal_is_found(number):
    assert find_number(f"After 2 steps, the answer is {number}.").value == pytest.approx(float(number))


@given(
    st.sampled_from("ABCDEFGHIJ"), st.sampled_from(["{}", "({})", "{}.", "**{}**", "Answer: {}", "Option {}"])
)
def test_a_letter_is_found(letter, form):
    assert find_letter(form.format(letter)).value == letter


@given(
    st.text(max_size=300),
    st.sampled_from(sorted(BUILTINS["extractors"])),
    st.lists(st.text(max_size=8), max_size=6),
)
def test_any_text_is_survived(text, name, choices):
    found = extractor(name)(text, Sample("1", "", choices=choices))
    assert 0 <= found.start <= found.end <= len(text)
    assert (found.value is None) == (found.rule in ("nothing", "ambiguous"))


@given(st.text(alphabet=" 0123456789.,/-$\\{}()=+*x:boxedfracanswer#is\n%", max_size=120))
def test_any_jumble_of_digits_and_signs_is_survived(text):
    value = find_number(text).value
    assert value is None or math.isfinite(value)


@pytest.mark.parametrize(
    "piece", ["1", "1,", "1 ", "1/2 ", "A, ", "\\boxed{", "answer is ", "<think>", "( ", "= 1 ", "#### "]
)
def test_long_texts_end(piece):
    text = piece * 5000
    for name in BUILTINS["extractors"]:
        found = extractor(name)(text, SAMPLE)
        assert 0 <= found.start <= found.end <= len(text)


def test_unknown_and_bad_extractors_say_what_is_wrong():
    with pytest.raises(UnknownName, match="did you mean number"):
        extractor("nmber")
    with pytest.raises(UsageError, match="no regular expression"):
        extractor("regex:(")
    with pytest.raises(UsageError, match="two ends"):
        extractor("between:abc")


def test_a_function_of_ones_own(tmp_path):
    (tmp_path / "mine.py").write_text(
        "def last_word(text, sample):\n    return text.split()[-1] if text.split() else None\n"
    )
    own = extractor(f"{tmp_path}/mine.py:last_word")
    assert own("all is well", Sample("1", "")) == Extraction("well", "last_word")
    assert own("", Sample("1", "")) == NOTHING
    assert own.identity
