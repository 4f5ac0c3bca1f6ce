"""Decoded sounds that are kept: each decoded once, within a limit; in a folder, from one run to the next."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sound_files import encode, noise
from steelyard import Sound
from steelyard.errors import DataError, UsageError
from steelyard.media.waves import Waves


@pytest.fixture
def songs(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.wav" for number in range(4)]
    for number, path in enumerate(paths):
        path.write_bytes(encode(noise(0.5, seed=number)))
    return paths


def test_a_sound_is_decoded_once(songs: list[Path]) -> None:
    waves = Waves(24000)
    expected = Sound(songs[0]).load(24000)
    with ThreadPoolExecutor(8) as pool:
        found = [*pool.map(lambda _: waves.load(Sound(songs[0])), range(40))]
    assert all(wave is found[0] for wave in found)
    assert np.array_equal(found[0], expected)
    assert (waves.decoded, waves.found) == (1, 39)
    assert waves.decoded_seconds == 0.5
    assert waves.decoding > 0
    # Another part of it, the bytes themselves and samples in memory are others; equal ones are found.
    for sound, options in (
        (Sound(songs[0]), {"seconds": 0.1}),
        (Sound(songs[0]), {"seconds": 0.1, "start": 0.2}),
        (Sound(songs[0].read_bytes()), {}),
        (Sound(expected, rate=24000), {}),
        (Sound(expected, rate=48000), {}),
    ):
        before = waves.decoded
        wave = waves.load(sound, **options)
        assert np.array_equal(wave, sound.load(24000, **options))
        assert waves.load(Sound(sound), **options) is wave
        assert waves.decoded == before + 1


def test_a_file_that_has_changed_is_decoded_anew(songs: list[Path], tmp_path: Path) -> None:
    for waves in (Waves(24000), Waves(24000, folder=tmp_path / "kept")):
        songs[0].write_bytes(encode(noise(0.5, seed=7)))
        os.utime(songs[0], (1, 1))
        first = waves.load(Sound(songs[0]))
        songs[0].write_bytes(encode(noise(0.5, seed=8)))
        assert not np.array_equal(waves.load(Sound(songs[0])), first)


def test_memory_is_held_to_a_limit(songs: list[Path]) -> None:
    size = 12_000 * 4
    waves = Waves(24000, most_bytes=2 * size + 10)
    for path in songs:
        waves.load(Sound(path))
    assert waves.held_bytes == 2 * size
    # The last ones are there.
    waves.load(Sound(songs[2]))
    waves.load(Sound(songs[3]))
    assert (waves.decoded, waves.found) == (4, 2)
    waves.load(Sound(songs[0]))
    assert waves.decoded == 5
    nothing = Waves(24000, most_bytes=0)
    nothing.load(Sound(songs[0]))
    nothing.load(Sound(songs[0]))
    assert (nothing.decoded, nothing.held_bytes) == (2, 0)


def test_an_error_is_told_to_all_who_wait_and_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"no sound at all")
    waves = Waves(24000)
    together = threading.Barrier(6)

    def load(_: int) -> str:
        together.wait()
        with pytest.raises(DataError) as caught:
            waves.load(Sound(path))
        return str(caught.value)

    with ThreadPoolExecutor(6) as pool:
        assert len({*pool.map(load, range(6))}) == 1
    path.write_bytes(encode(noise(0.1)))
    assert len(waves.load(Sound(path))) == 2400
    with pytest.raises(DataError, match="there is no sound"):
        waves.load(Sound(tmp_path / "gone.wav"))


def test_what_is_odd_is_told_of_kept_ones_too(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    content = encode(noise(1))
    path.write_bytes(content[: len(content) // 2])
    remarks = []
    for _ in range(2):
        waves = Waves(24000, folder=tmp_path / "kept")
        for _ in range(2):
            sound = Sound(path)
            waves.load(sound)
            remarks.append(sound.remark)
    assert remarks == ["cut off: 0.50 of 1.00 s are there"] * 4


def test_a_folder_keeps_them_for_the_next(songs: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    first = Waves(24000, folder=folder)
    made = [first.load(Sound(path), seconds=0.3) for path in songs]
    second = Waves(24000, folder=folder)
    for path, wave in zip(songs, made):
        found = second.load(Sound(path), seconds=0.3)
        assert np.array_equal(found, wave)
        assert found.flags.writeable
    assert (second.decoded, second.found) == (0, 4)
    # Where a file lies does not matter, at which rate and what part of it does.
    moved = songs[0].rename(tmp_path / "moved.wav")
    second.load(Sound(moved), seconds=0.3)
    assert second.decoded == 0
    second.load(Sound(moved), seconds=0.31)
    Waves(16000, folder=folder).load(Sound(moved), seconds=0.3)
    assert len([*folder.iterdir()]) == 6


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "head", "longer"])
def test_a_damaged_entry_is_as_good_as_none(damage: str, songs: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    expected = Waves(24000, folder=folder).load(Sound(songs[0]))
    (entry,) = folder.iterdir()
    content = bytearray(entry.read_bytes())
    if damage == "flipped":
        content[-100] ^= 4
    elif damage == "head":
        content[:20] = os.urandom(20)
    entry.write_bytes({"cut": content[:-6], "emptied": b"", "longer": content + b"abcd"}.get(damage, content))
    waves = Waves(24000, folder=folder)
    assert np.array_equal(waves.load(Sound(songs[0])), expected)
    assert waves.decoded == 1
    again = Waves(24000, folder=folder)
    again.load(Sound(songs[0]))
    assert again.decoded == 0


def test_a_folder_is_held_to_a_size(songs: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    waves = Waves(24000, most_bytes=0, folder=folder, folder_bytes=110_000)
    entries: list[Any] = []
    for number, path in enumerate(songs[:3]):
        waves.load(Sound(path))
        (made,) = {*folder.iterdir()} - {*entries} if number < 2 else (None,)
        entries.append(made)
        if made is not None:
            os.utime(made, (number, number))
    # Three would be too many, and the first was not used for longest.
    assert entries[0] not in [*folder.iterdir()]
    assert entries[1] in [*folder.iterdir()]
    waves.load(Sound(songs[1]))
    assert waves.decoded == 3


def test_a_folder_that_cannot_be_written_costs_time_only(songs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be kept in"):
        Waves(24000, folder=tmp_path / "file" / "kept")
    waves = Waves(24000, folder=tmp_path / "kept")
    (tmp_path / "kept").rmdir()
    assert len(waves.load(Sound(songs[0]))) == 12_000


PROCESS = """
import sys
from steelyard import Sound
from steelyard.media.waves import Waves
waves = Waves(24000, most_bytes=0, folder=sys.argv[1], folder_bytes=150_000)
for number in range(60):
    assert len(waves.load(Sound(sys.argv[2 + number % 4]))) == 12_000
"""


def test_several_processes_share_a_folder(songs: list[Path], tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", PROCESS, str(tmp_path / "kept"), *map(str, songs)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    assert [(process.communicate()[1], process.returncode) for process in running] == [(b"", 0)] * 3
    assert not [*(tmp_path / "kept").glob("*.new")]
