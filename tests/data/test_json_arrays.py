"""JSON arrays are read item by item, wherever the blocks of the file end."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steelyard.data import arrays
from steelyard.data.source import Data
from steelyard.errors import DataError

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(alphabet='a"\\[]{},: \né\x00')
    | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='a"\\,]}'), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(items=st.lists(VALUES, max_size=6), block=st.integers(1, 40), indent=st.none() | st.integers(0, 3))
def test_the_items_are_those_of_the_whole(items: list[Any], block: int, indent: int | None) -> None:
    text = json.dumps(items, indent=indent, ensure_ascii=False).encode()
    with patch.object(arrays, "_BLOCK", block):
        found = [json.loads(item) for item in arrays.split_array(io.BytesIO(text))]
    assert found == items


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"a": 1}', "it begins with '{\"a\": 1}'"),
        ('[{"a": 1}, {"b": ', "it is cut off, in its item 1"),
        ('[{"a": "never closed]', "it is cut off, in its item 0"),
        ("[", "it is cut off, in its item 0"),
        ("[1,,2]", "its item 1 is empty"),
        ("[1,]", "its item 1 is empty"),
        ("[1] 2", "behind it stands '2'"),
    ],
)
def test_what_is_no_array(text: str, error: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="^" + error.replace("[", r"\[").replace("{", r"\{")):
        list(arrays.split_array(io.BytesIO(text.encode())))
    path = tmp_path / "d.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"not an array of JSON objects|row 0: expected"):
        list(Data(path))


def test_a_large_array_is_never_whole_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    row = json.dumps({"input": "x" * 4000, "target": 'a "quoted" [answer]'})
    with path.open("w") as file:
        file.write("[" + row)
        for _ in range(10_000):
            file.write(",\n" + row)
        file.write("]")
    code = f"""
import resource
from steelyard.data.source import Data
data = Data({str(path)!r})
next(iter(data))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(sum(1 for _ in data), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    count, grown = map(int, said.split())
    # The file has 40 MB.
    assert count == 10_001 and grown < 20_000
