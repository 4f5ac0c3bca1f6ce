"""The sounds of a run, found again and made small clips of that a page plays; of what was sent, not of
what lies there meanwhile."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice, repeat
from pathlib import Path
from typing import Any, NamedTuple

from steelyard.albums import SOUNDS, sounds_of
from steelyard.errors import DataError, MissingExtra, SteelyardError
from steelyard.media.sounds import Sound
from steelyard.report.drawing import clock
from steelyard.store import Run
from steelyard.types import Prompt, Record

SECONDS = 30.0
"""How much of a sound a page plays."""
_RATE = 24_000
# Constant 40 kbit a second: what every browser plays, and enough to hear what is judged.
_ENCODING: Mapping[str, Any] = {"format": "MP3", "bitrate_mode": "CONSTANT", "compression_level": 0.8}
_MOST_BYTES = 16_000_000
_LONGEST_NAME = 200
_THREADS = min(4, os.cpu_count() or 1)
_LABELS = {"audio": "sound", "audio_b": "b", "ref_audio": "reference"}


class Given(NamedTuple):
    """A sound of a prompt, by what it is in it: the sound, one of a pair, the reference."""

    label: str
    stored: Any


def given_in(prompt: Prompt) -> list[Given]:
    """The sounds of a prompt in their order."""
    found = list(sounds_of(prompt))
    paired = any(name == "audio_b" for name, _ in found)
    return [Given("a" if paired and name == "audio" else _LABELS.get(name, name), s) for name, s in found]


def is_sound(part: Any) -> bool:
    """Whether a value of a prompt is a sound."""
    return any(True for _ in sounds_of({"audio": part}))


@dataclass(frozen=True)
class Heard:
    """What became of a sound that a record names: where it is, or why it cannot be played."""

    name: str
    sound: Sound | None = None
    note: str = ""

    def __str__(self) -> str:
        """Its name, how long it is, and what is wrong with it."""
        length, note = "", self.note
        if self.sound is not None:
            try:
                seconds = self.sound.seconds()
                length = "" if seconds is None else f" {clock(seconds)}"
            except MissingExtra:
                length = ""
            except SteelyardError as error:
                note = str(error.args[0]).removeprefix(self.sound.name).strip(" :")
        return f"{self.name}{length}" + (f", {note}" if note else "")

    @property
    def link(self) -> str:
        """The address of its file, if it lies in one."""
        path = None if self.sound is None else self.sound.path
        return "" if path is None else path.absolute().as_uri()


class SoundFinder:
    """Finds the sounds that the records of a run name."""

    def __init__(self, run: Run) -> None:
        self._run = run.path
        self._found: dict[tuple[str, ...], Heard] = {}
        self._folders = [Path(str(home)) for home in run.about.get("sound_folders", [])] or [Path()]

    def find(self, stored: Any) -> Heard:
        """What a record says of a sound as the sound; one that is not what it was is not given."""
        if not isinstance(stored, Mapping):
            return Heard(stored[:_LONGEST_NAME] if isinstance(stored, str) else "sound", note="not stored")
        key = key_of(stored)
        if key not in self._found:
            self._found[key] = self._find(stored)
        return self._found[key]

    def _find(self, stored: Mapping[str, Any]) -> Heard:
        name, digest = str(stored.get("audio") or ""), stored.get("digest")
        if not name:
            return self._kept(stored)
        if not isinstance(digest, str):
            return Heard(name, note="could not be read")
        there = [file for folder in self._folders if _is_file(file := folder / name)]
        for file in there:
            try:
                if Sound(file).reference().get("digest") == digest:
                    return Heard(name, Sound(file))
            except DataError:
                continue
        return Heard(name, note="changed since" if there else "not found")

    def _kept(self, stored: Mapping[str, Any]) -> Heard:
        digest = stored.get("digest")
        stem = digest if isinstance(digest, str) and digest.isalnum() else None
        name = "sound" if stem is None else f"sound {stem[:8]}"
        kept = [] if stem is None else sorted((self._run / SOUNDS).glob(f"{stem}.*"))
        return Heard(name, Sound(kept[0])) if kept else Heard(name, note="not stored")


@dataclass(frozen=True)
class Player:
    """A sound beside a sample: its clip, if the page has one, and its file, if it lies in one."""

    label: str
    text: str
    clip: int | None
    link: str


class Clips:
    """The clips of one page, each in it once, however many samples play it."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, ...], int | None] = {}
        self._encoded: list[str] = []
        self._left = _MOST_BYTES
        self._can = find_spec("soundfile") is not None
        self._wanted = False
        self.left_out = 0

    def add(self, finder: SoundFinder, records: Iterable[Record]) -> None:
        """Make clips of the sounds of some records, several at a time, in the order of the records."""
        waiting: dict[tuple[str, ...], Sound] = {}
        for record in records:
            for given in given_in(record.request.prompt):
                self._wanted = True
                sound = finder.find(given.stored).sound if self._can else None
                if sound is not None and key_of(given.stored) not in self._numbers:
                    waiting[key_of(given.stored)] = sound
        keys = iter(waiting)
        with ThreadPoolExecutor(_THREADS) as pool:
            # Piece by piece: once the page is full the rest need not be read.
            while some := list(islice(keys, 2 * _THREADS)):
                made = pool.map(_encode, (waiting[key] for key in some)) if self._left > 0 else repeat(None)
                for key, encoded in zip(some, made):
                    self._numbers[key] = self._number(encoded)

    def of(self, finder: SoundFinder, record: Record) -> list[Player]:
        """The sounds of a record, each with what can be had of it."""
        found = []
        for label, stored in given_in(record.request.prompt):
            heard = finder.find(stored)
            clip = self._numbers.get(key_of(stored)) if isinstance(stored, Mapping) else None
            found.append(Player(label, str(heard), clip, heard.link))
        return found

    @property
    def encoded(self) -> list[str]:
        """The clips by their numbers, in base64."""
        return self._encoded

    def remarks(self) -> Iterator[str]:
        """Why sounds cannot be played."""
        if self._wanted and not self._can:
            yield "Sounds are named only: soundfile is not installed (pip install 'steelyard[audio]')."
        if self.left_out:
            yield f"{self.left_out:,} sounds are linked to only, so that this page stays small."

    def _number(self, encoded: str | None) -> int | None:
        if encoded is not None and len(encoded) > self._left:
            self._left = 0
        if self._left <= 0:
            self.left_out += 1
            return None
        if encoded is None:
            return None
        self._left -= len(encoded)
        self._encoded.append(encoded)
        return len(self._encoded) - 1


def key_of(stored: Mapping[str, Any]) -> tuple[str, ...]:
    """What tells a stored sound from all others."""
    return tuple(str(stored.get(name)) for name in ("audio", "digest"))


def _encode(sound: Sound) -> str | None:
    """The beginning of a sound made anew, so that nothing of its file comes into the page."""
    import soundfile

    try:
        wave = sound.load(_RATE, seconds=SECONDS)
        buffer = io.BytesIO()
        soundfile.write(buffer, wave, _RATE, **_ENCODING)
    except (SteelyardError, soundfile.SoundFileError):
        return None
    return base64.b64encode(buffer.getvalue()).decode()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
