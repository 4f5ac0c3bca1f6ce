"""Sounds with something wrong: an error that names the file and what it is, or what is there and a remark."""

from __future__ import annotations

import io
import os
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sound_files import encode, encode_container, hum, noise
from steelyard import Sound
from steelyard.errors import DataError
from steelyard.media.containers import open_container
from steelyard.media.recordings import HIGHEST_RATE

VALID = {
    "wav": encode(noise(0.3)),
    "float": encode(noise(0.3), "WAV", "FLOAT"),
    "adpcm": encode(noise(0.3), "WAV", "MS_ADPCM"),
    "flac": encode(noise(0.3), "FLAC"),
    "mp3": encode(noise(0.3), "MP3"),
    "vorbis": encode(noise(0.3), "OGG", "VORBIS"),
    "opus": encode(noise(0.3, rate=48000), "OGG", "OPUS", rate=48000),
    "aiff": encode(noise(0.3), "AIFF"),
    "au": encode(noise(0.3), "AU"),
    "caf": encode(noise(0.3), "CAF"),
    "m4a": encode_container(noise(0.3)),
    "adts": encode_container(noise(0.3), "aac", "adts"),
    "webm": encode_container(noise(0.3, rate=48000), "libopus", "webm", rate=48000),
}


@pytest.mark.parametrize("kind", VALID)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_damage_is_a_waveform_or_an_error(kind: str, data: st.DataObject) -> None:
    content = bytearray(VALID[kind])
    # Headers are where a bit does most.
    places = st.integers(0, min(200, len(content) - 1)) | st.integers(0, len(content) - 1)
    for place in data.draw(st.lists(places, max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.none() | st.integers(0, len(content)))
    sound = Sound(bytes(content[:cut]))
    try:
        wave = sound.load(24000, seconds=2)
        length = sound.seconds()
    except DataError as error:
        assert str(error).startswith((sound.name, f"there is no sound in {sound.name}"))
        return
    assert np.isfinite(wave).all()
    assert 0 < len(wave) <= 48000
    assert length is None or length >= 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"This is a text that somebody called .wav", "a text that begins 'This is a text"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "it is PNG"),
        (b"%PDF-1.7" + bytes(100), "it is a PDF"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS"),
        (b"<!doctype html><title>404</title>", "an HTML page"),
        (bytes(1000), "bytes that begin 00 00"),
        (VALID["wav"][:44], "has no samples"),
        (VALID["wav"][:30], "is damaged or cut off"),
        (VALID["flac"][:60], "is damaged or cut off"),
        (VALID["m4a"][: len(VALID["m4a"]) // 2], "is damaged or cut off"),
    ],
)
def test_what_is_no_sound_is_told(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    path.write_bytes(content)
    for sound in (Sound("song.wav", home=tmp_path), Sound(content)):
        with pytest.raises(DataError, match=message) as caught:
            sound.load(24000)
        assert sound.name in str(caught.value)


def test_places_that_hold_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, message in (("", "is a folder"), ("gone.wav", "there is no sound"), ("pipe", "is no file")):
        for look in (lambda sound: sound.load(24000), Sound.seconds, Sound.read):
            with pytest.raises(DataError, match=message):
                look(Sound(tmp_path / name))
        # For this too nobody waits for who may write into a pipe.
        assert "digest" not in Sound(tmp_path / name).reference()
    (tmp_path / "mine.wav").write_bytes(VALID["wav"])
    (tmp_path / "mine.wav").chmod(0)
    if os.geteuid():
        with pytest.raises(DataError, match="may not be read"):
            Sound(tmp_path / "mine.wav").load(24000)
    with pytest.raises(DataError, match=r"there is no sound|cannot be read"):
        Sound("x" * 300 + ".wav").load(24000)
    with pytest.raises(DataError, match="cannot be read"):
        Sound("a\0b.wav").load(24000)


@pytest.mark.parametrize(
    "kind", ["wav", "float", "flac", "mp3", "vorbis", "opus", "aiff", "au", "adts", "webm"]
)
def test_of_what_is_cut_off_the_beginning_is_heard(kind: str) -> None:
    rate = 48000 if kind in ("opus", "webm") else 44100
    samples = hum(4, rate=rate)
    whole = Sound(_encode(samples, kind, rate))
    cut = Sound(whole.read()[: len(whole.read()) // 2])
    wave, expected = cut.load(rate, seconds=120), whole.load(rate, seconds=120)
    assert whole.remark == ""
    assert cut.remark.startswith("cut off: ")
    assert np.array_equal(cut.load(rate), wave)
    # What lies at the end may have been made with what is missing.
    assert 0.2 * len(expected) < len(wave) < len(expected)
    heard = len(wave) - 4096
    assert np.allclose(wave[:heard], expected[:heard], atol=1e-6)
    if kind in ("wav", "float", "flac", "aiff", "au"):
        assert cut.remark == f"cut off: {len(wave) / rate:.2f} of 4.00 s are there"


def _encode(samples: Any, kind: str, rate: int) -> bytes:
    if kind in ("adts", "webm"):
        return encode_container(samples, "aac" if kind == "adts" else "libopus", kind, rate=rate)
    subtype = {"float": "FLOAT", "vorbis": "VORBIS", "opus": "OPUS"}.get(kind)
    name = {"float": "WAV", "vorbis": "OGG", "opus": "OGG"}.get(kind, kind.upper())
    return encode(samples, name, subtype, rate=rate)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_who_writes_into_a_pipe_does_not_know_the_size(size: int) -> None:
    content = bytearray(VALID["wav"])
    content[4:8] = struct.pack("<I", size)
    content[40:44] = struct.pack("<I", size)
    sound = Sound(bytes(content))
    if size:
        assert len(sound.load(44100)) == round(0.3 * 44100)
        assert sound.remark == ""
    else:
        with pytest.raises(DataError, match="has no samples"):
            sound.load(44100)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rate", [24000, 44100])
def test_samples_that_are_no_numbers_are_told_with_their_place(value: float, rate: int) -> None:
    samples = noise(3, rate=rate)
    samples[int(2.5 * rate), 1] = value
    what = "NaN" if np.isnan(value) else "an infinite sample"
    for sound in (Sound(encode(samples, "WAV", "FLOAT", rate=rate)), Sound(samples.T, rate=rate)):
        with pytest.raises(DataError, match=f"has {what} at 2.50 s"):
            sound.load(24000)
        assert len(sound.load(24000, seconds=2)) == 48000
    # Large values are numbers.
    loud = np.full(1000, 3e38, np.float32)
    assert np.array_equal(Sound(loud).load(24000), loud)


@pytest.mark.parametrize("rate", [1, 999, HIGHEST_RATE + 1, 2_000_000_000])
def test_a_rate_that_is_none_is_told(rate: int) -> None:
    content = bytearray(VALID["wav"])
    content[24:28] = struct.pack("<I", rate)
    with pytest.raises(DataError, match=f"has {rate:,} samples a second"):
        Sound(bytes(content)).load(24000)


@pytest.mark.parametrize("frames", [1, 10, 960, 1024])
def test_the_shortest_sounds(frames: int) -> None:
    for rate in (8000, 24000, 192000):
        wave = Sound(encode(noise(1, rate=rate)[:frames], rate=rate)).load(24000)
        assert len(wave) == -(-frames * 24000 // rate)


def test_silence_is_silent() -> None:
    for kind in ("WAV", "FLAC", "MP3", "OGG"):
        wave = Sound(encode(np.zeros((44100, 2)), kind)).load(24000)
        assert len(wave) == 24000
        assert np.abs(wave).max() < 1e-4


@pytest.mark.parametrize(
    "body",
    [
        # Where nothing but sounds is read, nobody listens at a port for what never comes.
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile 'a.mp3'\n",
    ],
)
def test_a_list_of_what_is_elsewhere_is_no_sound(body: bytes) -> None:
    content = b"ID3\x04" + bytes(5) + b"\x40" + bytes(64) + body
    with pytest.raises(DataError, match=r"a\.mp3 is damaged or cut off: Invalid"):
        open_container(io.BytesIO(content), "a.mp3")
    with pytest.raises(DataError, match="is damaged or cut off"):
        Sound(content).load(24000)


FFMPEG = """#!{python}
import sys, struct
import av, numpy as np
source = sys.argv[sys.argv.index("-i") + 1]
assert source.startswith("file:/") and sys.argv[-1] == "pipe:1", sys.argv
try:
    container = av.open(source[5:])
    rate = container.streams.audio[0].codec_context.sample_rate
    sys.stdout.buffer.write(b".snd" + struct.pack(">5I", 28, 0xFFFFFFFF, 6, rate, 2) + bytes(4))
    for frame in container.decode(audio=0):
        sys.stdout.buffer.write(frame.to_ndarray().T.astype(">f4").tobytes())
except av.error.FFmpegError as error:
    sys.exit(f"[mov] odd\\n{{source}}: {{error.strerror}}")
"""


def test_a_program_ffmpeg_where_the_library_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encode_container(hum(3))
    (tmp_path / "a.m4a").write_bytes(content)
    expected = Sound(content).load(24000)
    program = tmp_path / "ffmpeg"
    program.write_text(FFMPEG.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "av", None)
    assert np.allclose(Sound(content).load(24000), expected, atol=1e-6)
    part = Sound(tmp_path / "a.m4a").load(24000, start=1.2, seconds=1)
    assert np.allclose(part, expected[28800:52800], atol=1e-6)
    with pytest.raises(DataError, match=r"cannot be read by ffmpeg: .*Invalid data"):
        Sound(content[:500]).load(24000)
