"""The fingerprint of a model folder: the same where the files are, another where they are not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from steelyard.errors import ModelError
from steelyard.models.folders import fingerprint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    (path / "1_Pooling").mkdir(parents=True)
    (path / "config.json").write_text('{"model_type": "llama"}')
    (path / "1_Pooling" / "config.json").write_text("{}")
    (path / "model.safetensors").write_bytes(bytes(range(256)) * 40)
    return path


def test_it_follows_the_files_not_their_place_or_time(folder: Path, tmp_path: Path) -> None:
    before = fingerprint(folder)
    moved = tmp_path / "elsewhere" / "other-name"
    shutil.copytree(folder, moved)
    os.utime(moved / "config.json", (1, 1))
    (moved / ".git").mkdir()
    (moved / ".git" / "HEAD").write_text("ref")
    (moved / "README.md").write_text("words")
    assert fingerprint(moved) == before


@pytest.mark.parametrize("change", ["content", "name", "gone", "more", "deep"])
def test_any_change_of_a_file_changes_it(folder: Path, change: str) -> None:
    before = fingerprint(folder)
    weights = folder / "model.safetensors"
    if change == "content":
        weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    elif change == "name":
        weights.rename(folder / "weights.safetensors")
    elif change == "gone":
        weights.unlink()
    elif change == "more":
        (folder / "tokenizer.json").write_text("{}")
    else:
        (folder / "1_Pooling" / "config.json").write_text("[]")
    assert fingerprint(folder) != before


def test_files_do_not_run_into_each_other(tmp_path: Path) -> None:
    for name, parts in {"one": ("ab", "c"), "two": ("a", "bc")}.items():
        (tmp_path / name).mkdir()
        for place, part in enumerate(parts):
            (tmp_path / name / f"{place}").write_text(part)
    assert fingerprint(tmp_path / "one") != fingerprint(tmp_path / "two")


def test_a_large_file_is_known_by_its_ends_and_blocks_between(tmp_path: Path) -> None:
    file = tmp_path / "large.gguf"
    size = 80 * 2**20
    with file.open("wb") as content:
        content.truncate(size)
    seen = {fingerprint(file)}
    for place in (0, size - 1, 2**20 + 100, size // 2 // 2**16 * 2**16):
        # A changed stretch, as another quantisation would give: 1.5 MB always meets a block.
        with file.open("r+b") as content:
            content.seek(min(place, size - 3 * 2**19))
            content.write(b"\1" * 3 * 2**19)
        seen.add(fingerprint(file))
    assert len(seen) == 5


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere"):
        fingerprint(tmp_path / "nowhere")
