"""Pictures and sounds that go with prompts: made, or those of a folder, chosen by seed.

    images=2                        two made pictures in the first turn of each session, 512x512
    images=1 image_size=1024x768,336x336
    images=./photos image_count=2   two of a folder, drawn anew for each session
    audio=1 audio_seconds=5         a made sound of five seconds

Made pictures are PNG with as many bytes as photographs have. Their content is another one each time, and
costs next to nothing: one picture a size is drawn, and each that is sent has colours of its own.
"""

from __future__ import annotations

import io
import math
import random
import re
import struct
import wave
import zlib
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

from steelyard.data.files import find_files
from steelyard.errors import DataError, UsageError, need
from steelyard.types import Message, Part, Prompt
from steelyard.workloads.base import Session
from steelyard.workloads.lengths import read_lengths
from steelyard.workloads.sources import draw

_SIZE = re.compile(r"(\d+)x(\d+)")
_MOST_PIXELS = 1 << 26
_RATE = 16_000
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_SOUNDS = (".wav", ".mp3", ".flac", ".ogg", ".m4a", ".webm")

Attach = tuple[Callable[[int, Session], Session], Mapping[str, Any]]


def read_images(
    *, images: Any = 1, image_size: Any = "512x512", image_count: int | None = None, seed: int = 0
) -> Attach:
    """What puts pictures into the first turn of a session, and what makes it do so."""
    # Whoever sends pictures looks at them first: else each request would fail by itself.
    need("PIL", extra="images")
    files = None if _is_count(images) else _find(images, _PICTURES, "pictures")
    count = _count("images", image_count if files else images, image_count)
    sizes = _read_sizes(image_size)

    def make(chance: random.Random) -> Any:
        return chance.choice(files) if files else draw_picture(*chance.choice(sizes), chance)

    told: dict[str, Any] = {"images": _told(files, count), "image_count": count}
    if files is None:
        told["image_size"] = ["x".join(map(str, size)) for size in sizes]
    return _attach("image", make, count, seed), told


def read_audio(
    *, audio: Any = 1, audio_seconds: Any = 2, audio_count: int | None = None, seed: int = 0
) -> Attach:
    """What puts sounds into the first turn of a session, and what makes it do so."""
    files = None if _is_count(audio) else _find(audio, _SOUNDS, "sounds")
    count = _count("audio", audio_count if files else audio, audio_count)
    seconds = read_lengths(audio_seconds, name="audio_seconds", least=0.01, whole=False)

    def make(chance: random.Random) -> Any:
        return chance.choice(files) if files else draw_sound(seconds.draw(chance), chance)

    told: dict[str, Any] = {"audio": _told(files, count), "audio_count": count}
    if files is None:
        told["audio_seconds"] = seconds.identity()
    return _attach("audio", make, count, seed), told


def draw_picture(width: int, height: int, chance: random.Random) -> bytes:
    """A PNG that nobody has seen before."""
    head, pixels = _drawn(width, height)
    return head + _chunk(b"PLTE", chance.randbytes(768)) + pixels + _chunk(b"IEND", b"")


def draw_sound(seconds: float, chance: random.Random) -> bytes:
    """A WAV of a tone with overtones, 16 bit at 16 kHz."""
    period = chance.randrange(40, 400)
    parts = [(n, chance.uniform(0.1, 1.0), chance.uniform(0.0, math.tau)) for n in (1, 2, 3)]
    loudest = sum(part for _, part, _ in parts)
    turn = math.tau / period
    one = [
        sum(part * math.sin(n * turn * place + begin) for n, part, begin in parts) / loudest
        for place in range(period)
    ]
    samples = array("h", (int(20_000 * value) for value in one))
    wanted = max(1, round(seconds * _RATE))
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes((samples.tobytes() * (wanted // period + 1))[: 2 * wanted])
    return out.getvalue()


@lru_cache(maxsize=16)
def _drawn(width: int, height: int) -> tuple[bytes, bytes]:
    """The chunks of a picture before and behind its colours: bands with the grain of a photograph."""
    grain = random.Random(f"{width}x{height}")
    rows = bytearray()
    for y in range(height):
        noise = grain.randbytes(width)
        band = 8 * y // height
        rows.append(0)
        rows += bytes(
            (16 * band + (noise[x] & 7) + (128 if x * 2 > width else 0)) & 255 for x in range(width)
        )
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head, _chunk(b"IDAT", zlib.compress(bytes(rows), 1))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _attach(
    kind: Literal["image", "audio"], make: Callable[[random.Random], Any], count: int, seed: int
) -> Callable[[int, Session], Session]:
    def change(number: int, session: Session) -> Session:
        chance = draw(seed, kind, number)
        parts = [Part(kind, make(chance)) for _ in range(count)]
        first, *others = session.turns
        # How many tokens a picture takes only the model knows.
        asked = replace(first, prompt=_put_before(parts, first.prompt, session.id), tokens_in=None)
        return replace(session, turns=[asked, *others])

    return change


def _put_before(parts: Sequence[Part], prompt: Prompt, session: str) -> Prompt:
    """A prompt with parts before the first thing that the user says."""
    if isinstance(prompt, str):
        return [{"role": "user", "content": [*parts, Part("text", prompt)]}]
    place = None
    if not isinstance(prompt, Mapping):
        place = next((n for n, turn in enumerate(prompt) if turn["role"] == "user"), None)
    if place is None:
        raise UsageError(f"pictures and sounds go with texts and chats, session {session} is neither")
    turns = list(cast(Sequence[Message], prompt))
    said = turns[place]["content"]
    behind = [Part("text", said)] if isinstance(said, str) else list(said)
    turns[place] = cast(Message, {**turns[place], "content": [*parts, *behind]})
    return turns


def _is_count(given: Any) -> bool:
    return isinstance(given, int) or (isinstance(given, str) and given.isdecimal())


def _count(name: str, given: Any, other: int | None) -> int:
    count = other if given is None else int(given)
    count = 1 if count is None else count
    if isinstance(given, bool) or count < 1:
        raise UsageError(f"{name} is {given!r}", hint="how many, or a folder with some")
    return count


def _find(given: Any, suffixes: Sequence[str], what: str) -> list[Path]:
    """The files of a folder or a pattern."""
    path = Path(str(given)).expanduser()
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in suffixes)
    else:
        found = find_files(str(given)) or []
    if not found:
        raise DataError(f"{given} holds no {what}", hint="files of " + ", ".join(suffixes))
    return found


def _read_sizes(given: Any) -> list[tuple[int, int]]:
    parts = given.split(",") if isinstance(given, str) else [str(one) for one in given]
    sizes = []
    for part in parts:
        found = _SIZE.fullmatch(part.strip())
        width, height = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 0 < width * height <= _MOST_PIXELS:
            raise UsageError(
                f"image_size={part}", hint="width x height: 512x512, or several: 512x512,1024x768"
            )
        sizes.append((width, height))
    return sizes


def _told(files: Sequence[Path] | None, count: int) -> Any:
    return "made" if files is None else [[file.name, file.stat().st_size] for file in files]
