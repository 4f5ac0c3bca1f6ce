"""A small benchmark: short tones, and rows of all four sources that people rated or compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_MONTHS = ("2025-06", "2025-07")


def make_benchmark(folder: Path) -> Path:
    """A folder `music` with the sounds, and beside it `rows.jsonl`, which is returned."""
    rows = [*_rated("PAM/music", 4), *_rated("SongEval", 4), *_battles(5), *_compared(6)]
    for number, row in enumerate(rows):
        for place, column in enumerate(("audio-path", "audio2", "ref-audio-path")):
            if column in row:
                write_tone(
                    folder / "music" / row[column], 180.0 + 37 * number + 11 * place, 0.2 + 0.03 * number
                )
    path = folder / "rows.jsonl"
    write_lines(path, rows)
    return path


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def write_tone(path: Path, pitch: float, seconds: float, *, rate: int = 16_000) -> None:
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(seconds * rate)) / rate
    left = np.sin(2 * np.pi * pitch * time) * np.exp(-2 * time)
    right = np.sign(np.sin(2 * np.pi * 1.5 * pitch * time)) * 0.2
    soundfile.write(path, np.stack([left, right], 1).astype(np.float32) * 0.5, rate)


def _rated(source: str, count: int) -> Iterator[dict[str, Any]]:
    name = source.partition("/")[0].lower()
    for n in range(count):
        yield {
            "audio-path": f"{name}/{n}.wav",
            "prompt": f"slow jazz with {n + 1} horns" if n else "",
            "lyrics": "la la la" if n % 2 else "",
            "source": source,
            "split": "test",
            "musicality": [3.5, 2.0, 4.25, 3.0][n],
            "text-music alignment": [4, 1, 3, 5][n],
            "prompt id": f"{name}-{n}",
        }


def _battles(count: int) -> Iterator[dict[str, Any]]:
    labels = ("model_a", "b", "neither", "a", "who knows")
    for n in range(count):
        folder = f"MusicArena_data/audio/arena/{_MONTHS[n % 2]}"
        yield {
            "audio-path": f"{folder}/{n}a.flac",
            "audio2": f"{folder}/{n}b.flac",
            "prompt": "a cheerful pop song",
            "lyrics": "",
            "source": "Music Arena",
            "split": "test",
            "preference": labels[n],
            "model_a": "riffusion",
            "model_b": "musicgen",
        }


def _compared(count: int) -> Iterator[dict[str, Any]]:
    for n in range(count):
        reference = {"ref-audio-path": f"cmi/{n}r.wav"} if n % 2 else {}
        yield {
            "audio-path": f"cmi/{n}a.wav",
            "audio2": f"cmi/{n}b.wav",
            **reference,
            "prompt": "夜の ピアノ" if n == 2 else "a song like this one",
            "lyrics": "oh, the night" if n > 2 else "",
            "source": "cmi-arena-annotation",
            "split": "test" if n < 5 else "train",
            "preference-musicality": ("a", "b", "both", "b", "a", "a")[n],
            "preference-alignment": ("b", "b", "a", "both", "a", "a")[n],
            "confidence_preference-musicality": (1, 3, 5, 4, 3, 3)[n],
            "confidence_preference-alignment": (2, 3, 3, 5, 4, 3)[n],
            "user id": f"u{n % 2}",
        }
