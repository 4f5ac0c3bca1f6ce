"""The JSON object in an answer: where it stands, what is mended, what is not guessed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.metrics.extraction.objects import find_object, read_object


@pytest.mark.parametrize(
    ("text", "value", "rule"),
    [
        ('{"a": 1}', {"a": 1}, "object alone"),
        ("{}", {}, "object alone"),
        ('Here you are: {"a": {"b": "}"}} – anything else?', {"a": {"b": "}"}}, "among words"),
        ('Sure:\n```json\n{"a": [1,\n 2]}\n```\nbye', {"a": [1, 2]}, "fenced"),
        ('```\n{"a": 1}', {"a": 1}, "fenced"),
        ('```json\n{"a": 1}\n```\nor rather\n```json\n{"a": 2}\n```', {"a": 2}, "fenced"),
        ('```\nno object\n```\n{"a": 1}', {"a": 1}, "among words"),
        ('<think>{"a": 2}</think>{"a": 3}', {"a": 3}, "object alone"),
        ('{"a": 1}\n\nSo finally:\n{"a": 2}', {"a": 2}, "last object"),
        ('$\\frac{1}{2}$ {x} {"a": 1}', {"a": 1}, "among words"),
        ('[{"a": 1}]', {"a": 1}, "among words"),
        ('{"a": "x\ny"}', {"a": "x\ny"}, "object alone"),
        ('{"a": NaN}', {"a": None}, "object alone"),
        ('{"a": [1, 2,], "b": 3,}', {"a": [1, 2], "b": 3}, "mended"),
        ("""{'a': "O'Neill", 'b': None, 'c': True}""", {"a": "O'Neill", "b": None, "c": True}, "mended"),
        ("""{'a': 'say "x" it\\'s'}""", {"a": 'say "x" it\'s'}, "mended"),
        ("{“a”: “b, c”}", {"a": "b, c"}, "mended"),
        ('{"a": ",}"}', {"a": ",}"}, "object alone"),
        ('{"a": {1}} {"b": 2}', {"b": 2}, "among words"),
    ],
)
def test_objects_are_found(text: str, value: Any, rule: str) -> None:
    found = find_object(text)
    assert found.rule == rule
    assert json.loads(str(found.value)) == value == read_object(text)
    assert text[found.start] == "{" and text[found.end - 1] == "}"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("I see no fields.", "nothing"),
        ('{"a": 1', "nothing"),
        ('{"items": [{"name": "x"}, {"name": "y"', "nothing"),  # an inner object is not the answer
        ("{'a': 'O'Neill'}", "nothing"),
        ('{"a": 1e999}', "nothing"),
        ("{a: 1}", "nothing"),
        ('{"a": __import__("os")}', "nothing"),
        ('[{"a": 1}, {"a": 2}]', "ambiguous"),
        ('{"a":' * 3000, "nothing"),
    ],
)
def test_nothing_is_guessed(text: str, rule: str) -> None:
    found = find_object(text)
    assert (found.value, found.rule) == (None, rule)
    assert read_object(text) is None


PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=6,
)


@given(st.dictionaries(st.text(), st.one_of(PLAIN, st.text()), max_size=4), st.booleans())
def test_what_json_writes_is_read(value: dict[str, Any], fenced: bool) -> None:
    text = json.dumps(value, indent=1 if fenced else None)
    if "think" not in text.lower():
        assert read_object(f"So:\n```json\n{text}\n```" if fenced else text) == value


@given(st.text(alphabet="{}[]\"':, \n`ab1\\TrueNone", max_size=80))
def test_any_jumble_is_survived(text: str) -> None:
    found = find_object(text)
    assert (found.value is None) == (found.rule in ("nothing", "ambiguous"))
    assert 0 <= found.start <= found.end <= len(text)
