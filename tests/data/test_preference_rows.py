"""Rows of reward benchmarks as samples: music that was rated or compared, answers that people prefer."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steelyard.data.layouts.music import dataset_of, month_of
from steelyard.data.source import Data
from steelyard.errors import DataError
from steelyard.media.sounds import Sound
from steelyard.types import Part, Sample


def read(*rows: Any, **options: Any) -> list[Sample]:
    return list(Data(list(rows), layout="preference", **options))


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_wav(path: Path, seconds: float) -> None:
    soundfile = pytest.importorskip("soundfile")
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(int(8000 * seconds), dtype=np.float32), 8000)


RATED = {
    "audio-path": "PAM_data/7.wav",
    "prompt": "slow jazz",
    "source": "PAM (music)",
    "split": "test",
    "musicality": 3.5,
    "text-music alignment": 4,
}
COMPARED = {
    "audio-path": "a.wav",
    "audio2": "b.wav",
    "ref-audio-path": "r.wav",
    "prompt": "slow jazz",
    "lyrics": "la la",
    "source": "cmi-arena-annotation",
    "preference-musicality": "model_a",
    "preference-alignment": "both",
    "confidence_preference-musicality": 4,
    "confidence_preference-alignment": "3",
    "prompt id": 12,
    "user id": "u1",
    "model_a": "x",
    "model_b": "y",
}


def test_a_piece_that_was_rated(tmp_path: Path) -> None:
    write_wav(tmp_path / "PAM_data" / "7.wav", 12)
    (sample,) = Data(write(tmp_path / "rows.jsonl", RATED), layout="preference")
    sound = sample.input["audio"].data
    assert isinstance(sound, Sound) and sound.path == tmp_path / "PAM_data" / "7.wav"
    assert sample.input == {"text": "slow jazz", "lyrics": "", "audio": Part("audio", sound)}
    assert sample.target == {"musicality": 3.5, "alignment": 4.0}
    meta = dict(sample.meta)
    assert meta.pop("row") == RATED
    assert meta == {
        "source": "PAM (music)",
        "split": "test",
        "dataset": "PAM",
        "given": "text",
        "ref": "no_ref",
        "vocal": "instrumental",
        "duration": "10-30 s",
    }


def test_two_pieces_that_were_compared(tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    write_wav(folder / "a.wav", 1)
    write_wav(folder / "b.wav", 65)
    data = Data(write(tmp_path / "rows.jsonl", COMPARED), layout="preference", audio_root=folder)
    (sample,) = data
    assert {name: part.data.path for name, part in sample.input.items() if isinstance(part, Part)} == {
        "audio": folder / "a.wav",
        "audio_b": folder / "b.wav",
        "ref_audio": folder / "r.wav",
    }
    assert sample.target == {"preference_musicality": "model_a", "preference_alignment": "both"}
    wanted = {
        "dataset": "CMI-Pref",
        "given": "text+lyrics+ref",
        "ref": "ref",
        "vocal": "vocal",
        "confidence_musicality": ">3",
        "confidence_alignment": "=3",
        "prompt_id": "12",
        "user_id": "u1",
        "model_a": "x",
        "model_b": "y",
        "group": "CMI-Pref/12",
        "duration": "60-120 s",
    }
    assert {name: sample.meta.get(name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("source", "dataset"),
    [
        ("PAM", "PAM"),
        ("microsoft/PAM music", "PAM"),
        ("MusicEval", "MusicEval"),
        ("SongEval", "MusicEval"),
        ("Music Arena 2025", "MusicArena"),
        ("cmi-arena-annotation", "CMI-Pref"),
        ("mine", "mine"),
        ("", ""),
    ],
)
def test_datasets_by_their_source(source: str, dataset: str) -> None:
    assert dataset_of(source) == dataset


@pytest.mark.parametrize(
    ("path", "month"),
    [
        ("MusicArena_data/raw/audio/2025-07/x.mp3", "2025-07"),
        ("/root/MusicArena_data/raw/audio/july/x.mp3", "july"),
        ("MusicArena_data\\raw\\audio\\2025-08\\x.mp3", "2025-08"),
        ("MusicArena_data/audio/2025-07/x.mp3", "2025-07"),
        ("MusicArena_data/raw/audio/2025-09/2025-10/x.mp3", "2025-09"),
        ("MusicArena_data/raw/x.mp3", None),
        ("other/raw/audio/2025-07/x.mp3", None),
    ],
)
def test_months(path: str, month: str | None) -> None:
    assert month_of(path) == month
    (sample,) = read({"audio-path": path, "audio2": "b.wav", "preference": "a"})
    assert sample.meta.get("month") == month


@pytest.mark.parametrize(
    ("row", "given", "vocal"),
    [
        ({"prompt": "x", "lyrics": "la"}, "text+lyrics", "vocal"),
        ({"prompt": " ", "lyrics": "[Instrumental]"}, "lyrics", "instrumental"),
        ({"prompt": "x", "ref-audio-path": "r.wav", "modality": "text"}, "text+ref", "instrumental"),
        ({"prompt": None, "lyrics": math.nan, "ref-audio-path": ""}, "nothing", "instrumental"),
    ],
)
def test_what_is_given_by_what_is_there(row: dict[str, Any], given: str, vocal: str) -> None:
    (sample,) = read({"audio-path": "a.wav", **row})
    assert (sample.meta["given"], sample.meta["vocal"]) == (given, vocal)
    assert sample.target is None and all(value == value for value in sample.meta["row"].values())


def test_numbers_in_words_and_missing_ones() -> None:
    for given, wanted in (("3.5", 3.5), (4, 4.0), ("", None), (None, None), (math.nan, None), ("nan", None)):
        (sample,) = read({"audio-path": "a.wav", "musicality": given, "alignment": 1})
        assert sample.target == {**({} if wanted is None else {"musicality": wanted}), "alignment": 1.0}


@pytest.mark.parametrize(("confidence", "told"), [(1, "<3"), (2.5, "<3"), (3, "=3"), (5, ">3")])
def test_confidences(confidence: float, told: str) -> None:
    (sample,) = read({**COMPARED, "confidence_preference-musicality": confidence})
    assert sample.meta["confidence_musicality"] == told


def test_lasting_that_no_file_says() -> None:
    for row in ({"audio-path": "missing.wav"}, {"audio-path": str(Path(__file__))}):
        assert "duration" not in read(row)[0].meta
    assert read({"audio-path": "missing.wav", "duration": 300})[0].meta["duration"] == ">=240 s"


def test_sounds_in_cells() -> None:
    cell = {"array": np.zeros(8000, dtype=np.float32), "sampling_rate": 8000}
    (sample,) = read({"audio": cell, "musicality": 3})
    assert (
        isinstance(sample.meta["row"]["audio"], Sound)
        and sample.meta["row"]["audio"] is sample.input["audio"].data
    )
    assert sample.meta["duration"] == "0-10 s"


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"audio-path": None, "prompt": "x"}, "a sound as 'audio-path'"),
        ({"audio-path": "a.wav", "preference": "a"}, "a sound as 'audio2'"),
        ({"audio2": "a.wav"}, "a sound as 'audio-path'"),
        ({"audio-path": 7}, "a sound as 'audio-path'"),
        ({"audio-path": "a.wav", "musicality": "good"}, "a number as 'musicality'"),
        ({"audio-path": "a.wav", "musicality": True}, "a number as 'musicality'"),
        ({"audio-path": "a.wav", "text-music alignment": [1]}, "a number as 'text-music alignment'"),
        ({"audio-path": "a.wav", "prompt": 3}, "a text as 'prompt'"),
        ({"audio-path": "a.wav", "audio2": "b.wav", "preference": ["a"]}, "a label .* as 'preference'"),
        ({"prompt": "x", "answer": "y"}, "chosen and rejected answers, a pair with a label, or a piece"),
        ({"prompt": "x", "chosen": "y"}, "a column rejected"),
        ({"prompt": "x", "chosen": "y", "rejected": 3}, "an answer as a text or as turns"),
        (
            {"chosen": [{"role": "user", "content": "x"}], "rejected": [{"role": "user"}]},
            "turns with role and",
        ),
        ({"chosen": [{"role": "assistant", "content": "x"}], "rejected": "y"}, "a question: a column prompt"),
        ({"prompt": "x", "response_a": "1", "response_b": "2", "winner": ["a"]}, "a label as 'winner'"),
    ],
)
def test_bad_rows_say_what_is_wrong_and_cost_only_themselves(row: dict[str, Any], what: str) -> None:
    with pytest.raises(DataError, match=f"expected {what}"):
        read(row)
    data = Data([row, COMPARED], layout="preference", on_bad_row="skip")
    assert len(list(data)) == 1 and data.skipped == 1


TURNS = [{"role": "user", "content": "Hi"}]


def turns(*texts: str) -> list[dict[str, str]]:
    return [
        *TURNS,
        *({"role": ("assistant", "user")[n % 2], "content": text} for n, text in enumerate(texts)),
    ]


@pytest.mark.parametrize(
    ("row", "asked", "choices", "target"),
    [
        ({"prompt": "2 + 2?", "chosen": "4", "rejected": "5"}, "2 + 2?", ["4", "5"], 0),
        (
            {"prompt": "2 + 2?", "chosen": ["4"], "rejected": ["5", "3", "2"]},
            "2 + 2?",
            ["4", "5", "3", "2"],
            0,
        ),
        ({"prompt": "?", "chosen": ["4", "four"], "rejected": ["5"]}, "?", ["4", "four", "5"], [0, 1]),
        ({"chosen": turns("A"), "rejected": turns("B")}, TURNS, ["A", "B"], 0),
        ({"prompt": "Hi", "chosen": turns("A"), "rejected": turns("B")}, TURNS, ["A", "B"], 0),
        (
            {"prompt": TURNS, "chosen": turns("A")[1:], "rejected": turns("B")[1:]},
            TURNS,
            ["A", "B"],
            0,
        ),
        ({"chosen": turns("A"), "rejected": turns("A")}, TURNS, ["A", "A"], 0),
        ({"chosen": turns("A", "?", "C"), "rejected": turns("A", "?", "D")}, turns("A", "?"), ["C", "D"], 0),
        (
            {"chosen": turns("A", "why", "C"), "rejected": turns("B")},
            TURNS,
            ["A\n\nHuman: why\n\nAssistant: C", "B"],
            0,
        ),
        (
            {"chosen": "\n\nHuman: Hi\n\nAssistant: A\nand", "rejected": "\n\nHuman: Hi\n\nAssistant: B"},
            TURNS,
            ["A\nand", "B"],
            0,
        ),
        ({"prompt": "\n\nHuman: Hi\n\nAssistant:", "chosen": " A", "rejected": " B"}, TURNS, [" A", " B"], 0),
        ({"chosen": "one text", "rejected": "another"}, "", ["one text", "another"], 0),
        ({"prompt": "?", "response_a": "1", "response_b": "2", "winner": "model_b"}, "?", ["1", "2"], 1),
        ({"prompt": "?", "response_a": "1", "response_b": "2", "label": "A"}, "?", ["1", "2"], 0),
        (
            {"prompt": "?", "response_a": "1", "response_b": "2", "winner": "tie (bothbad)"},
            "?",
            ["1", "2"],
            [0, 1],
        ),
        ({"question": "?", "response_1": "1", "response_2": "2", "preference": 2}, "?", ["1", "2"], 1),
        ({"prompt": "?", "response_0": "1", "response_1": "2", "label": 1}, "?", ["1", "2"], 1),
        (
            {"conversation_a": turns("A"), "conversation_b": turns("B"), "winner": "neither"},
            TURNS,
            ["A", "B"],
            [0, 1],
        ),
        (
            {"prompt": "?", "response_a": "1", "response_b": "2", "winner": "?"},
            "?",
            ["1", "2"],
            {"preference": "?"},
        ),
        ({"prompt": "?", "response_a": "1", "response_b": "2"}, "?", ["1", "2"], None),
    ],
)
def test_answers_that_are_preferred(row: dict[str, Any], asked: Any, choices: list[str], target: Any) -> None:
    (sample,) = read(row)
    assert (sample.input, sample.choices, sample.target) == (asked, choices, target)


def test_subsets_of_rewardbench_are_of_sections() -> None:
    row = {"id": 3, "prompt": "?", "chosen": "x", "rejected": "y", "subset": "hep-go", "chosen_model": "m"}
    (sample,) = read(row)
    assert sample.id == "3" and "chosen" not in sample.meta
    assert sample.meta["section"] == "Reasoning" and sample.meta["chosen_model"] == "m"
    assert "section" not in read({**row, "subset": "mine"})[0].meta


def test_an_answer_may_say_nothing() -> None:
    assert read({"prompt": "?", "chosen": "No.", "rejected": ""})[0].choices == ["No.", ""]
    assert read({"prompt": "?", "response_a": "", "response_b": "x", "winner": "b"})[0].choices == ["", "x"]


def test_answers_to_one_question_are_a_group() -> None:
    row = {"prompt": "?", "chosen": "x", "rejected": "y"}
    assert read({**row, "prompt_id": 7})[0].meta["group"] == "7" and "group" not in read(row)[0].meta


def test_rows_of_both_kinds_in_one_file(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", RATED, {"prompt": "?", "chosen": "x", "rejected": "y"})
    music, text = Data(path, layout="preference")
    assert music.choices is None and text.choices == ["x", "y"]
