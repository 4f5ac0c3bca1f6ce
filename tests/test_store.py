"""The run folder: round trips, torn lines, damage, locks, full disks, resuming."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steelyard.errors import DataError, RunMismatch, StoreError, UsageError
from steelyard.store import Answered, Run, differences, digest
from steelyard.types import Record, Request, Response, Sample, Timing, Tokens

IDENTITY = {"model": {"class": "m", "dtype": "float32"}, "sampling": {"seed": 0}}


def record(index: int, text: str = "an answer") -> Record:
    sample = Sample(id=str(index), input=f"question {index}", target="x", meta={"group": "a"})
    request = Request(id=str(index), prompt=[{"role": "user", "content": "hi"}], params={"stop": ["\n"]})
    timing = Timing(due=1.0, sent=1.0, chunks=(1.5,), done=2.0)
    return Record(index, sample, request, Response(text, tokens=Tokens(1, 2), timing=timing), {"exact": True})


def make(path: Path, count: int) -> Run:
    run = Run.create(path, {"identity": IDENTITY})
    for index in range(count):
        run.add(record(index))
    run.close()
    return run


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    make(tmp_path / "r", 3)
    run = Run.open(tmp_path / "r")
    found = list(run.records())
    assert [r.index for r in found] == [0, 1, 2]
    assert found[1].sample == Sample(id="1", input="question 1", target="x", meta={"group": "a"})
    assert found[1].response.text == "an answer"
    assert found[1].response.tokens == Tokens(1, 2)
    assert found[1].response.timing is not None
    assert found[1].response.timing.ttft == 0.5
    assert found[1].scores == {"exact": True}
    assert run.about["format"] == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(value=json_values, text=st.text(), meta=st.dictionaries(st.text(), json_values, max_size=3))
@settings(max_examples=80, deadline=None)
def test_a_question_keeps_its_digest_through_the_file(
    tmp_path_factory: pytest.TempPathFactory, value: Any, text: str, meta: dict[str, Any]
) -> None:
    sample = Sample(id=text, input=value, target=value, choices=("a", text), meta=meta)
    request = Request(id=text, prompt={"input": value}, choices=(text,), params=meta)
    if any("\ud800" <= c <= "\udfff" for c in repr((text, value, meta))):
        return
    run = Run.create(tmp_path_factory.mktemp("run") / "r", {})
    run.add(Record(0, sample, request, Response(text=text)))
    run.close()
    (found,) = Run.open(run.path).records()
    assert digest(found.sample, found.request) == digest(sample, request)
    assert found.response.text == text


def test_a_torn_last_line_is_ignored_and_taken_back_on_resume(tmp_path: Path) -> None:
    path = tmp_path / "r"
    run = make(path, 3)
    whole = run.log.read_bytes()
    for cut in (1, 10, len(whole.splitlines(keepends=True)[-1]) - 1):
        run.log.write_bytes(whole[:-cut])
        assert [r.index for r in Run.open(path).records()] == [0, 1]
        resumed = Run.resume(path, IDENTITY)
        assert run.log.read_bytes() == b"".join(whole.splitlines(keepends=True)[:2])
        resumed.add(record(2))
        resumed.close()
        assert run.log.read_bytes() == whole


def test_a_log_of_one_torn_line_is_emptied(tmp_path: Path) -> None:
    run = make(tmp_path / "r", 0)
    run.log.write_bytes(b'{"index": 0, "sam')
    Run.resume(run.path, IDENTITY).close()
    assert run.log.read_bytes() == b""


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    run = make(tmp_path / "r", 3)
    lines = run.log.read_bytes().splitlines(keepends=True)
    run.log.write_bytes(lines[0] + b"\x00garbage\n" + lines[2])
    with pytest.raises(StoreError, match="line 2 is damaged"):
        list(Run.open(run.path).records())


def test_the_same_index_twice_is_an_error() -> None:
    answered = Answered()
    answered.add(record(5))
    with pytest.raises(StoreError, match="index 5 is stored twice"):
        answered.add(record(5))


def test_a_changed_question_is_refused() -> None:
    answered = Answered()
    answered.add(record(0))
    same = record(0)
    assert answered.has(0, same.sample, same.request)
    assert not answered.has(1, same.sample, same.request)
    changed = Sample(id="0", input="another question", target="x", meta={"group": "a"})
    with pytest.raises(RunMismatch, match="sample '0'"):
        answered.has(0, changed, same.request)


def test_resume_names_what_changed(tmp_path: Path) -> None:
    make(tmp_path / "r", 1)
    changed = {"model": {"class": "m", "dtype": "bfloat16"}, "sampling": {"seed": 0}}
    with pytest.raises(RunMismatch, match=r"model\.dtype was 'float32', is 'bfloat16'"):
        Run.resume(tmp_path / "r", changed)


def test_differences_see_added_and_removed_keys() -> None:
    assert differences({"a": 1, "b": 2}, {"a": 1, "c": 3}) == ["b was 2, is None", "c was None, is 3"]
    assert differences({"a": [1, 2]}, {"a": [1, 2]}) == []


def test_an_identity_with_tuples_and_paths_can_be_resumed(tmp_path: Path) -> None:
    identity = {"shots": [("q", "a")], "path": Path("/x")}
    Run.create(tmp_path / "r", {"identity": identity}).close()
    resumed = Run.resume(tmp_path / "r", identity)
    assert resumed.about["identity"] == {"shots": [["q", "a"]], "path": "/x"}
    resumed.close()


def test_a_used_folder_is_not_overwritten(tmp_path: Path) -> None:
    make(tmp_path / "r", 1)
    with pytest.raises(UsageError, match="not empty"):
        Run.create(tmp_path / "r", {})


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a run"):
        Run.open(tmp_path)


def test_a_damaged_or_newer_run_file(tmp_path: Path) -> None:
    run = make(tmp_path / "r", 0)
    about = run.path / "run.json"
    about.write_text(json.dumps({"format": 99}))
    with pytest.raises(StoreError, match="newer version"):
        Run.open(run.path)
    about.write_text('{"format": 1, ')
    with pytest.raises(StoreError, match="damaged"):
        Run.open(run.path)


def test_an_unwritable_place_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="cannot write to"):
        Run.create(tmp_path / "file" / "r", {})


def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", {"identity": IDENTITY})
    code = f"from steelyard.store import Run; Run.resume({str(run.path)!r}, {IDENTITY!r})"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "another process is writing" in other.stderr
    run.close()
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_a_full_disk_loses_nothing_that_was_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.create(tmp_path / "r", {"identity": IDENTITY})
    run.add(record(0))
    write = os.write

    calls = iter([50, None])

    def full(file: int, data: bytes) -> int:
        size = next(calls)
        if size is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data[:size])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreError, match="No space left"):
        run.add(record(1))
    monkeypatch.setattr(os, "write", write)
    assert [r.index for r in Run.open(run.path).records()] == [0]
    run.add(record(1))
    assert [r.index for r in Run.open(run.path).records()] == [0, 1]


def test_a_real_full_disk(tmp_path: Path) -> None:
    """A file-size limit stands for a disk that fills up: the kernel itself refuses the write."""
    code = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
from steelyard.store import Run
from steelyard.errors import StoreError
from steelyard.types import *
run = Run.create({str(tmp_path / "r")!r}, {{"identity": {{}}}})
try:
    for n in range(1000):
        run.add(Record(n, Sample(str(n), "x" * 100), Request(str(n), "x"), Response("y")))
except StoreError as error:
    print(n, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "cannot write to" in done.stdout, done.stderr
    stored = int(done.stdout.split()[0])
    assert [r.index for r in Run.open(tmp_path / "r").records()] == list(range(stored))


def test_what_cannot_be_stored_is_named(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", {})
    odd = Record(0, Sample(id="7", input=object()), Request(id="7", prompt="x"), Response())
    with pytest.raises(DataError, match="sample '7' cannot be stored"):
        run.add(odd)
    assert run.log.read_bytes() == b""


def test_replacing_records_is_all_or_nothing(tmp_path: Path) -> None:
    run = make(tmp_path / "r", 3)
    before = run.log.read_bytes()

    def broken() -> Any:
        yield record(0, "new")
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        run.replace_records(broken())
    assert run.log.read_bytes() == before
    run.replace_records(iter([record(0, "new")]))
    assert [r.response.text for r in Run.open(run.path).records()] == ["new"]


def test_a_run_open_for_reading_takes_no_records(tmp_path: Path) -> None:
    make(tmp_path / "r", 1)
    with pytest.raises(UsageError, match="reading only"):
        Run.open(tmp_path / "r").add(record(1))


def test_what_could_not_be_read_back_is_not_stored(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", {})
    odd = Record(0, Sample("7", "x"), Request("7", "x"), Response(scores={"good": float("nan")}))
    with pytest.raises(DataError, match="sample '7' cannot be stored"):
        run.add(odd)
    run.add(record(1))
    assert [r.index for r in Run.open(run.path).records()] == [1]


def test_records_are_replaced_under_the_lock(tmp_path: Path) -> None:
    run = make(tmp_path / "r", 3)
    run.lock()
    run.replace_records(iter([record(0)]))
    with pytest.raises(StoreError, match="another process is writing"):
        Run.open(run.path).lock()
    run.add(record(1))
    run.close()
    other = Run.open(run.path)
    other.lock()
    other.close()
    assert [r.index for r in other.records()] == [0, 1]


def test_options_that_cannot_be_stored_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be stored"):
        Run.create(tmp_path / "r", {"identity": {"template": "caf\udce9"}})
