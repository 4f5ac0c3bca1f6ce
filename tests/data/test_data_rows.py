"""Bad rows: where they stand, what was expected, and how to go on without them."""

from __future__ import annotations

import json

import pytest

from steelyard.data.source import Data
from steelyard.errors import DataError

GOOD = b'{"input": "a", "target": "b"}\n'


def jsonl(tmp_path, text: bytes, **options) -> Data:
    path = tmp_path / "d.jsonl"
    path.write_bytes(text)
    return Data(path, **options)


@pytest.mark.parametrize(
    "line, expected",
    [
        (b'{"input": "a", "target"', "a JSON object"),
        (b"{'input': 'a'}", "a JSON object"),
        (b'["a"]', r"an object with columns, saw '\['a'\]'"),
        (b"null", "an object with columns, saw 'None'"),
        (b'"text"', "an object with columns"),
        (b'{"input": "\xff"}', r"in UTF-8, saw .*\\xff"),
        (b'{"input": NaN, "target": "b"}', "JSON has no NaN"),
        (b'{"input": "\\ud800", "target": "b"}', "surrogate"),
        (b'{"input": "a"}', "expected the column 'target', saw .*input"),
        (b'{"input": null, "target": "b"}', "expected a text, messages or a mapping as 'input'"),
        (b'{"input": 5, "target": "b"}', "expected a text, messages or a mapping as 'input', saw '5'"),
        (b"[" * 100_000, "a JSON object"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, expected):
    text = GOOD + b"\r\n" + GOOD + line + b"\r\n" + GOOD
    with pytest.raises(DataError, match=rf"d\.jsonl, line 4: .*{expected}"):
        list(jsonl(tmp_path, text))
    data = jsonl(tmp_path, text, on_bad_row="skip")
    for _ in range(2):
        assert [sample.id for sample in data] == ["0", "1", "3"]
        assert data.skipped == 1
        assert "line 4" in data.bad_rows[0]


def test_what_is_seen_is_short(tmp_path):
    with pytest.raises(DataError) as caught:
        list(jsonl(tmp_path, GOOD + b'{"input": "' + b"x" * 100_000))
    assert len(str(caught.value)) < 400 and "xxx…" in str(caught.value)


def test_a_torn_last_line_is_not_passed_over(tmp_path):
    with pytest.raises(DataError, match=r"line 3"):
        list(jsonl(tmp_path, GOOD * 2 + GOOD[:9]))


def test_utf_16_is_recognised(tmp_path):
    with pytest.raises(DataError, match="UTF-16"):
        list(jsonl(tmp_path, json.dumps({"input": "a"}).encode("utf-16")))


def test_few_bad_rows_are_told_and_all_are_counted(tmp_path):
    data = jsonl(tmp_path, (GOOD + b"oh\n") * 100, on_bad_row="skip")
    assert len(list(data)) == 100
    assert data.skipped == 100
    assert len(data.bad_rows) == 10


def test_only_bad_rows_are_no_data(tmp_path):
    with pytest.raises(DataError, match=r"every row of d is bad; the first: .*line 1"):
        list(jsonl(tmp_path, b"oh\nno\n", on_bad_row="skip"))
    with pytest.raises(DataError, match=r"every row of d is bad; the first: .*'quest'"):
        list(jsonl(tmp_path, GOOD, on_bad_row="skip", input="quest"))


@pytest.mark.parametrize("text", [b"", b"\n \n", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["d.jsonl", "d.json", "d.csv"])
def test_empty_files_are_no_data(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text)
    with pytest.raises(DataError, match=r"is empty|is bad|has no row|the input"):
        list(Data(path))


def test_empty_things_are_no_data():
    for source in ([], iter(()), lambda: []):
        with pytest.raises(DataError, match=r"is empty"):
            list(Data(source))


def test_csv_rows_of_another_width(tmp_path):
    path = tmp_path / "d.csv"
    path.write_bytes(b'input,target\r\n\r\n"two\r\nlines",b\r\nc\r\nd,e,f\r\ng,h\r\n')
    with pytest.raises(DataError, match=r"d\.csv, line 5: expected 2 cells, saw '1 cells: c'"):
        list(Data(path))
    data = Data(path, on_bad_row="skip")
    assert [(s.id, s.input) for s in data] == [("0", "two\r\nlines"), ("3", "g")]
    assert "line 6: expected 2 cells, saw '3 cells: d,e,f'" in data.bad_rows[1]


def test_csv_bytes_that_are_not_utf_8(tmp_path):
    path = tmp_path / "d.csv"
    path.write_bytes(b"input,target\na,b\nc\xe9,d\ne,f\n")
    with pytest.raises(DataError, match=r"line 3: expected UTF-8, saw .*\\xe9"):
        list(Data(path))
    assert [s.input for s in Data(path, on_bad_row="skip")] == ["a", "e"]
    path.write_bytes(b"inp\xe9t\na\n")
    with pytest.raises(DataError, match="line 1: expected a header in UTF-8"):
        list(Data(path))


def test_a_csv_quote_that_is_never_closed(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text('input,target\na,b\n"c,d\ne,f\n')
    with pytest.raises(DataError, match=r"line 3"):
        list(Data(path))
    assert [s.input for s in Data(path, on_bad_row="skip")] == ["a"]
    path.write_text('"input,target\na,b\n')
    with pytest.raises(DataError, match="the header cannot be read"):
        list(Data(path))


def test_csv_rows_that_end_with_a_carriage_return_alone(tmp_path):
    path = tmp_path / "d.csv"
    path.write_bytes(b"input,target\ra,b\r")
    with pytest.raises(DataError, match="rows end with a newline"):
        list(Data(path))


def test_rows_of_a_json_array_are_bad_one_by_one(tmp_path):
    path = tmp_path / "d.json"
    path.write_bytes(b'[{"input": "a"}, 3, {"input": "\xff"}, {"input": "b"}]')
    with pytest.raises(DataError, match="row 1: expected an object with columns, saw '3'"):
        list(Data(path))
    data = Data(path, on_bad_row="skip")
    assert [s.id for s in data] == ["0", "3"]
    assert data.skipped == 2
    path.write_text('{"input": "a"}')
    with pytest.raises(DataError, match="not an array of JSON objects"):
        list(Data(path))
