"""Pieces of music that people rated or compared: the rows of music reward benchmarks.

    {"audio-path": "PAM/7.wav", "prompt": "slow jazz", "musicality": 3.5, "text-music alignment": 4,
     "source": "PAM (music)"}
    {"audio-path": "a.mp3", "audio2": "b.mp3", "prompt": …, "lyrics": …, "ref-audio-path": null,
     "preference-musicality": "model_a", "confidence_preference-musicality": 4}

A row becomes what a reward model is asked: the sound `audio`, of a pair also `audio_b`, the texts, and
`ref_audio` where there is one. The target holds the ratings, or the labels of a pair. The row stays
whole in `meta["row"]`; beside it stands what results are told apart by. Rows about the same prompt
(`prompt id`) are a group: what they say is no independent evidence.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

from steelyard.data.layouts.base import Fields, Place
from steelyard.data.rows import BadRow
from steelyard.errors import DataError, SteelyardError
from steelyard.media.sounds import Sound, as_sound
from steelyard.types import Part, Sample

SOUNDS: Mapping[str, Sequence[str]] = {
    "audio": ("audio-path", "audio_path", "audio", "audio1"),
    "audio_b": ("audio2", "audio2-path", "audio2_path", "audio_b"),
    "ref_audio": ("ref-audio-path", "ref_audio_path", "ref_audio", "ref-audio"),
}
RATINGS: Mapping[str, Sequence[str]] = {
    "musicality": ("musicality",),
    "alignment": ("text-music alignment", "text-music-alignment", "alignment"),
}
LABELS: Mapping[str, Sequence[str]] = {
    "preference": ("preference",),
    "preference_musicality": ("preference-musicality", "preference_musicality"),
    "preference_alignment": ("preference-alignment", "preference_alignment"),
}
_CONFIDENCES: Mapping[str, Sequence[str]] = {
    "confidence_musicality": ("confidence_preference-musicality", "confidence-musicality"),
    "confidence_alignment": ("confidence_preference-alignment", "confidence-alignment"),
}
_PLAIN: Mapping[str, Sequence[str]] = {
    "split": ("split",),
    "source": ("source",),
    "modality": ("modality",),
    "prompt_id": ("prompt id", "prompt_id"),
    "user_id": ("user id", "user_id"),
    "model_a": ("model_a",),
    "model_b": ("model_b",),
}
_MIDDLE = 3
_LARGEST = 1e308
_BINS = (10, 30, 60, 120, 240)
_MONTH = re.compile(r"(?:19|20)\d\d[-_]?(?:0[1-9]|1[0-2])(?!\d)")
_WORDLESS = re.compile(r"\W*(?:instrumental|no lyrics|none)?\W*", re.I)


def is_music(row: Fields) -> bool:
    """Whether a row is about a piece of music."""
    return row.column(*SOUNDS["audio"]) is not None or any(name[0] in row for name in SOUNDS.values())


def make_music(row: Fields, place: Place) -> Sample:
    """A piece that was rated, or two that were compared."""
    # Tables have NaN where a cell is empty.
    row = Fields({column: None if _is_nan(value) else value for column, value in row.items()})
    labels = {name: label for name, spelled in LABELS.items() if (label := _label(row, spelled))}
    sounds = {}
    for name, spelled in SOUNDS.items():
        column = row.column(*spelled)
        if column is not None:
            sounds[name] = _sound(row[column], column, place)
            # What holds a sound itself is kept as one; a path as it is written.
            row[column] = row[column] if isinstance(row[column], str) else sounds[name]
        elif name == "audio" or (name == "audio_b" and labels):
            given = [row[column] for column in spelled if column in row]
            raise BadRow(f"a sound as {spelled[0]!r}", given[0] if given else list(row))
    text, lyrics = _text(row, "prompt"), _text(row, "lyrics")
    asked = {"text": text, "lyrics": lyrics, **{name: Part("audio", sound) for name, sound in sounds.items()}}
    ratings = {name: _number(row, spelled) for name, spelled in RATINGS.items()}
    rated = {name: rating for name, rating in ratings.items() if rating is not None}
    target = labels if "audio_b" in sounds else rated
    meta = {"row": dict(row), **dict(_tell(row, sounds, text, lyrics))}
    return Sample(place.id(row.find("id")), asked, target or None, None, meta)


def dataset_of(source: str) -> str:
    """The benchmark that a source is of, as tables call it; else the source."""
    if "PAM" in source:
        return "PAM"
    if source in ("MusicEval", "SongEval"):
        return "MusicEval"
    if "Music Arena" in source:
        return "MusicArena"
    return "CMI-Pref" if source == "cmi-arena-annotation" else source


def month_of(path: str) -> str | None:
    """The month of a battle of Music Arena: the third part of its path after MusicArena_data."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    if "MusicArena_data" not in parts:
        return None
    folders = parts[parts.index("MusicArena_data") + 1 : -1]
    third = folders[2] if len(folders) > 2 else None
    # Some keep them a folder higher or lower; a month looks like one.
    return next((part for part in (third, *folders) if part and _MONTH.match(part)), third)


def _tell(row: Fields, sounds: Mapping[str, Sound], text: str, lyrics: str) -> Iterator[tuple[str, str]]:
    """What results are told apart by."""
    found = {name: row.find(*columns) for name, columns in _PLAIN.items()}
    found = {name: str(value) for name, value in found.items() if value is not None}
    yield from found.items()
    dataset = dataset_of(found.get("source", ""))
    if dataset:
        yield "dataset", dataset
    if "prompt_id" in found:
        yield "group", f"{dataset}/{found['prompt_id']}"
    there = {"text": text, "lyrics": lyrics, "ref": "ref_audio" in sounds}
    yield "given", "+".join(name for name, is_there in there.items() if is_there) or "nothing"
    yield "ref", "ref" if "ref_audio" in sounds else "no_ref"
    yield "vocal", "instrumental" if _WORDLESS.fullmatch(lyrics) else "vocal"
    for name, columns in _CONFIDENCES.items():
        if (confidence := _number(row, columns)) is not None:
            sign = "=" if confidence == _MIDDLE else "<" if confidence < _MIDDLE else ">"
            yield name, f"{sign}{_MIDDLE}"
    path = row.find(*SOUNDS["audio"])
    if isinstance(path, str) and (month := month_of(path)):
        yield "month", month
    if lasting := _bin(row, sounds):
        yield "duration", lasting


def _bin(row: Fields, sounds: Mapping[str, Sound]) -> str | None:
    """How long the longest of the pieces is, about; None where the head of its file does not say."""
    lasting = _number(row, ("duration",))
    if lasting is None:
        # What is wrong with a sound is told by the answer to it.
        with suppress(SteelyardError):
            pieces = [sounds[name].seconds() for name in ("audio", "audio_b") if name in sounds]
            lasting = max((seconds for seconds in pieces if seconds is not None), default=None)
    if lasting is None:
        return None
    ends = [(low, high) for low, high in zip((0, *_BINS), _BINS) if lasting < high]
    return f"{ends[0][0]}-{ends[0][1]} s" if ends else f">={_BINS[-1]} s"


def _sound(given: Any, column: str, place: Place) -> Sound:
    try:
        return as_sound(given, home=place.home)
    except DataError as error:
        raise BadRow(f"a sound as {column!r}", error.args[0], hint=error.hint) from error


def _text(row: Fields, column: str) -> str:
    given = row.find(column)
    if not isinstance(given, (str, type(None))):
        raise BadRow(f"a text as {column!r}", given)
    return given if given and given.strip() else ""


def _label(row: Fields, columns: Sequence[str]) -> str | None:
    given = row.find(*columns)
    if isinstance(given, (list, tuple, Mapping)):
        raise BadRow(f"a label (a, b, both, …) as {columns[0]!r}", given)
    return None if given is None else str(given).strip() or None


def _number(row: Fields, columns: Sequence[str]) -> float | None:
    """The number in the first of these columns; tables of text have it in words."""
    given = row.find(*columns)
    if given is None or (isinstance(given, str) and not given.strip()):
        return None
    if isinstance(given, str):
        with suppress(ValueError):
            given = float(given)
    if isinstance(given, bool) or not isinstance(given, (int, float)) or abs(given) > _LARGEST:
        raise BadRow(f"a number as {row.column(*columns)!r}", given)
    return None if _is_nan(given) else float(given)


def _is_nan(given: Any) -> bool:
    return isinstance(given, float) and math.isnan(given)
