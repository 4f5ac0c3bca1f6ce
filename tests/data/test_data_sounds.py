"""Columns of sounds: found by name and look, taken out of rows, relative to the file they stand in."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sound_files import encode, noise
from steelyard import Data, Part, Record, Request, Response, Run, Sample, Sound
from steelyard.albums import Album, sounds_of
from steelyard.errors import DataError, UsageError
from steelyard.models.cache import Cache, Cached
from steelyard.models.functions import FunctionModel
from steelyard.store import Answered
from steelyard.tasks.prompts import with_media

WAV = encode(noise(0.1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "songs").mkdir()
    for name in ("one.wav", "two.wav"):
        (tmp_path / "songs" / name).write_bytes(encode(noise(0.1, seed=len(name))))
    return tmp_path


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def names(sample: Sample) -> list[str]:
    return [sound.name for sound in sample.meta["audios"]]


def rows_of(*values: Any, column: str = "audio") -> list[dict[str, Any]]:
    return [{"question": "What is said?", "answer": "yes", column: value} for value in values]


@pytest.mark.parametrize(
    "column", ["audio", "audios", "audio_path", "audio-path", "sound", "wav", "file", "file_name", "path"]
)
def test_usual_names(column: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    (sample,) = Data(write(folder / "data.jsonl", rows_of("songs/one.wav", column=column)))
    assert names(sample) == ["songs/one.wav"]
    assert [*sample.meta] == ["question", "answer", "audios"]
    assert len(sample.meta["audios"][0].load(24000)) == 2400


def test_one_column_that_is_named_or_several(folder: Path) -> None:
    row = {"question": "q", "audio": "songs/one.wav", "left": "songs/two.wav", "right": "x.bin"}
    path = write(folder / "data.jsonl", [row])
    assert [names(sample) for sample in Data(path)] == [["songs/one.wav"]]
    assert [names(sample) for sample in Data(path, audios=["right", "left"])] == [["x.bin", "songs/two.wav"]]
    (sample,) = Data(path, audios="none")
    assert sample.meta["audio"] == "songs/one.wav"
    assert "audios" not in sample.meta
    with pytest.raises(DataError, match=r"the column 'centre'.*audios=COLUMN"):
        [*Data(path, audios="centre")]


def test_another_folder_can_be_named(folder: Path) -> None:
    path = write(folder / "data.jsonl", rows_of("one.wav"))
    (sample,) = Data(path, audio_root=folder / "songs")
    assert len(sample.meta["audios"][0].load(24000)) == 2400
    assert Data(path, audio_root=folder).identity() == Data(path).identity()
    with pytest.raises(UsageError, match="audio_root is 'nowhere'"):
        Data(path, audio_root="nowhere")
    rows = [{"audio-path": "one.wav", "prompt": "calm", "musicality": 3, "source": "PAM"}]
    (sample,) = Data(write(folder / "m.jsonl", rows), layout="preference", audio_root=folder / "songs")
    assert len(sample.input["audio"].data.load(24000)) == 2400


def test_pictures_and_sounds_stand_beside_each_other(folder: Path) -> None:
    row = {"question": "q", "image": "face.png", "audio_1": "songs/one.wav", "audio_2": "songs/two.wav"}
    (sample,) = Data(write(folder / "data.jsonl", [row]))
    assert [image.name for image in sample.meta["images"]] == ["face.png"]
    assert names(sample) == ["songs/one.wav", "songs/two.wav"]


def test_a_text_in_such_a_column_stays_a_text(folder: Path) -> None:
    values: tuple[Any, ...] = ("loud and clear", 7, ["a", "b"], {"text": "x"})
    for value, sample in zip(values, Data(write(folder / "data.jsonl", rows_of(*values)))):
        assert sample.meta["audio"] == value
        assert "audios" not in sample.meta


def test_what_stands_in_cells() -> None:
    array = {"array": np.zeros(16), "sampling_rate": 8000}
    values = (Sound(WAV), {"bytes": WAV, "path": None}, array, [WAV, array], None, "")
    samples = [*Data(rows_of(*values))]
    assert [len(sample.meta["audios"]) for sample in samples] == [1, 1, 1, 2, 0, 0]
    assert samples[2].meta["audios"][0].rate == 8000
    with pytest.raises(DataError, match=r"sounds of this machine in 'audio'.*audios=none"):
        [*Data(rows_of("http://host/a.mp3"))]
    # Encoded sounds in other columns are no texts either.
    (sample,) = Data([{"question": "q", "voice": WAV}])
    assert isinstance(sample.meta["voice"], Sound)


@pytest.mark.skipif(importlib.util.find_spec("datasets") is None, reason="needs datasets")
def test_data_sets_of_the_library_stay_encoded() -> None:
    import datasets

    rows = datasets.Dataset.from_dict({"question": ["q"], "audio": [{"bytes": WAV, "path": None}]})
    rows = rows.cast_column("audio", datasets.Audio())
    for sample in Data(rows):
        assert len(sample.meta["audios"][0].load(24000)) == 2400


def test_the_same_file_is_the_same_question(folder: Path) -> None:
    path = folder / "songs" / "one.wav"

    def asked(given: Any) -> tuple[Sample, Request]:
        prompt = {"audio": Part("audio", given), "text": "calm"}
        return with_media(Sample("1", prompt), Request("1", prompt))

    sample, request = asked(str(path))
    assert isinstance(request.prompt["audio"].data, Sound)  # type: ignore[call-overload, index]
    answered = Answered()
    answered.add(Record(0, sample, request, Response()))
    assert answered.has(0, *asked(path))
    assert answered.has(0, *asked(Sound(path)))
    path.write_bytes(encode(noise(0.1, seed=9)))
    with pytest.raises(UsageError, match="is not what it was"):
        answered.has(0, *asked(path))
    # What holds none stays as it is, what cannot be one too.
    for prompt in ({"text": "x"}, {"audio": Part("audio", 7)}):
        request = Request("1", prompt)
        assert with_media(Sample("1", prompt), request)[1].prompt is prompt


def test_caches_know_them_by_their_content(folder: Path, tmp_path: Path) -> None:
    cached = Cached(FunctionModel(str), Cache(tmp_path / "cache"))
    one, two = (folder / "songs" / name for name in ("one.wav", "two.wav"))
    one.write_bytes(WAV)
    two.write_bytes(WAV)

    def key(given: Any) -> bytes:
        return cached._key(Request("1", {"audio": Part("audio", given), "text": "x"}))

    assert key(str(one)) == key(two) == key(Sound(one)) == key(WAV)
    two.write_bytes(encode(noise(0.2)))
    assert key(one) != key(two)
    in_turns = [[{"role": "user", "content": [Part("audio", given)]}] for given in (one, WAV)]
    first, second = (cached._key(Request("1", turns)) for turns in in_turns)  # type: ignore[arg-type]
    assert first == second
    cached.close()


def test_what_lies_in_no_file_is_kept_beside_the_run(folder: Path, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {})
    album = Album(run)
    given = {
        "audio": Sound("songs/one.wav", home=folder),
        "ref_audio": Sound(np.zeros((2, 8000)), rate=8000),
        "audio_b": Sound(WAV),
        "odd": Sound(np.zeros(10)),
    }
    prompt = {**{name: Part("audio", sound) for name, sound in given.items()}, "text": "x"}
    for index in range(2):
        request = Request(str(index), prompt)
        record = Record(index, Sample(str(index), prompt), request, Response())
        run.add(record)
        album.add(record)
    run.close()
    kept = sorted(path.name for path in (tmp_path / "run" / "sounds").iterdir())
    digests = {name: sound.reference()["digest"] for name, sound in given.items()}
    # Of samples at no rate nobody can say how they sound.
    assert kept == sorted([f"{digests['ref_audio']}.flac", f"{digests['audio_b']}.wav"])
    assert (tmp_path / "run" / "sounds" / f"{digests['audio_b']}.wav").read_bytes() == WAV
    stored = Run.open(tmp_path / "run")
    assert stored.about["sound_folders"] == [str(folder)]
    for record in stored.records():
        found = dict(sounds_of(record.request.prompt))
        assert found["audio"] == {"audio": "songs/one.wav", "digest": digests["audio"]}
        assert [*found] == [*given]
