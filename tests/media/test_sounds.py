"""Sounds of every format, rate and number of channels; parts of them; samples in memory; what is stored."""

from __future__ import annotations

import base64
import io
import json
import os
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from sound_files import encode, encode_container, hum, noise
from steelyard import Part, Record, Request, Response, Run, Sample, Sound
from steelyard.errors import DataError, UsageError
from steelyard.media import digests
from steelyard.media.resampling import resample
from steelyard.media.sounds import as_sound, encode_sound, read_sound

WHOLE = [
    ("WAV", "PCM_U8", 8), ("WAV", "PCM_16", 16), ("WAV", "PCM_24", 24), ("WAV", "PCM_32", 32),
    ("WAV", "FLOAT", 0), ("WAV", "DOUBLE", 0), ("WAVEX", "PCM_16", 16), ("WAVEX", "PCM_24", 24),
    ("RF64", "PCM_16", 16), ("W64", "PCM_16", 16), ("RF64", "FLOAT", 0), ("AIFF", "PCM_S8", 8),
    ("AIFF", "PCM_16", 16), ("AIFF", "FLOAT", 0), ("AU", "PCM_16", 16), ("AU", "PCM_24", 24),
    ("CAF", "PCM_16", 16), ("FLAC", "PCM_S8", 8), ("FLAC", "PCM_16", 16), ("FLAC", "PCM_24", 24),
]  # fmt: skip
LOSSY = [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)]


def mono(samples: Any) -> Any:
    return samples.mean(axis=1).astype(np.float32)


@pytest.mark.parametrize(("kind", "subtype", "bits"), WHOLE)
def test_formats_that_lose_nothing_are_exact(kind: str, subtype: str, bits: int, tmp_path: Path) -> None:
    samples = noise(0.3)
    if bits == 8:
        samples = np.rint(samples * 128) / 128
    path = tmp_path / "sound.bin"
    path.write_bytes(encode(samples, kind, subtype))
    for source in (path, str(path), path.read_bytes()):
        wave = Sound(source).load(44100)
        assert (wave.dtype, wave.shape) == (np.float32, (len(samples),))
        assert np.abs(wave - mono(samples)).max() < 1e-7
        assert Sound(source).seconds() == pytest.approx(0.3)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000, 96000, 192000])
@pytest.mark.parametrize("channels", [1, 2, 5, 8])
def test_channels_are_averaged_before_the_rate_is_changed(rate: int, channels: int) -> None:
    samples = noise(0.2, rate=rate, channels=channels)
    sound = Sound(encode(samples, "WAV", "PCM_16", rate=rate))
    expected = resample(mono(samples), rate, 24000)
    assert np.abs(sound.load(24000) - expected).max() < 1e-6
    assert len(expected) == 4800


@pytest.mark.parametrize(("kind", "subtype"), LOSSY)
def test_formats_that_lose_a_little_sound_the_same(kind: str, subtype: str | None) -> None:
    rate = 48000 if subtype == "OPUS" else 44100
    samples = hum(2, rate=rate)
    sound = Sound(encode(samples, kind, subtype, rate=rate))
    wave = sound.load(rate)
    assert len(wave) == len(samples)
    assert sound.seconds() == pytest.approx(len(samples) / rate)
    assert np.corrcoef(wave, mono(samples))[0, 1] > 0.97
    assert sound.remark == ""


@pytest.mark.parametrize(
    ("codec", "kind", "rate"),
    [
        ("aac", "ipod", 44100), ("aac", "adts", 44100), ("aac", "matroska", 44100), ("alac", "ipod", 44100),
        ("libopus", "webm", 48000), ("ac3", "ac3", 44100), ("pcm_s16le", "avi", 44100),
    ],
)  # fmt: skip
def test_containers_that_libsndfile_does_not_read(codec: str, kind: str, rate: int, tmp_path: Path) -> None:
    samples = hum(2, rate=rate)
    path = tmp_path / "sound.bin"
    path.write_bytes(encode_container(samples, codec, kind, rate=rate))
    wave = Sound(path).load(rate)
    assert np.array_equal(wave, Sound(path.read_bytes()).load(rate))
    # Raw streams do not say how much of their beginning the encoder has put there.
    late = {"adts": 1024, "ac3": 256}.get(kind, 0)
    wave = wave[late:][: len(samples)]
    assert len(wave) > len(samples) - 2000
    assert np.corrcoef(wave, mono(samples)[: len(wave)])[0, 1] > 0.97


FILES = {
    "wav": encode,
    "flac": lambda samples: encode(samples, "FLAC"),
    "mp3": lambda samples: encode(samples, "MP3"),
    "vorbis": lambda samples: encode(samples, "OGG", "VORBIS"),
    "gsm": lambda samples: encode(samples[:, :1], "WAV", "GSM610"),
    "m4a": encode_container,
    "wma": lambda samples: encode_container(samples, "wmav2", "asf"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_part_is_that_part_of_the_whole(kind: str) -> None:
    sound = Sound(FILES[kind](hum(14)))
    for rate in (24000, 44100):
        whole = sound.load(rate)
        for start, seconds in (
            (0, 0.5),
            (0.2, 1.7),
            (3.3331, 2),
            (11.7, 1.001),
            (11.95, None),
            (12, None),
            # In floats a sample less than it is.
            (3 * 1.2, 1),
            (0, 99),
            (0.1, 0),
        ):
            part = sound.load(rate, start=start, seconds=seconds)
            first = round(start * rate)
            expected = whole[first : None if seconds is None else first + int(seconds * rate)]
            assert part.shape == expected.shape
            assert np.allclose(part, expected, atol=1e-6)
        assert len(sound.load(rate, start=20)) == 0


def read_so_far() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="nobody counts what is read")
def test_of_ten_hours_only_what_is_wanted_is_read(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    seconds, rate = 36_000, 22050
    head = encode(noise(0.1, rate=rate), rate=rate)[:40]
    size = seconds * rate * 4
    with path.open("wb") as file:
        file.write(head[:4] + struct.pack("<I", size + 36) + head[8:] + struct.pack("<I", size))
        file.truncate(44 + size)
    sound = Sound(path)
    before = read_so_far()
    assert sound.seconds() == seconds
    assert sound.load(24000, seconds=5).shape == (120_000,)
    assert sound.load(24000, start=30_000, seconds=5).shape == (120_000,)
    assert sound.reference()["digest"]
    # Two times 5 s, and what the digest looks at: some places of 16 KiB.
    assert read_so_far() - before < 2 * 6 * rate * 4 + 70 * (1 << 14)


def test_an_mp3_that_does_not_say_how_long_it_is() -> None:
    content = encode(hum(3), "MP3")
    tagged = content.index(b"Xing") if b"Xing" in content else content.index(b"Info")
    start = content.index(content[:2], tagged)
    sound = Sound(content[start:])
    assert sound.seconds() == pytest.approx(3, abs=0.1)
    assert len(sound.load(24000)) / 24000 == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize(
    "kind", ["int16", "int32", "uint8", "float16", "float32", "float64", "torch", "bfloat16"]
)
def test_samples_in_memory(kind: str) -> None:
    plain = mono(noise(0.2, channels=1))
    if kind == "torch":
        given: Any = torch.from_numpy(plain)
    elif kind == "bfloat16":
        given = torch.from_numpy(plain).to(torch.bfloat16).requires_grad_()
    elif kind == "uint8":
        given = (np.rint(plain * 128) + 128).astype(np.uint8)
    else:
        scale = {"int16": 2**15, "int32": 2**31}.get(kind, 1)
        given = (plain.astype(float) * scale).astype(kind)
    wave = Sound(given).load(24000)
    tolerance = {"uint8": 1 / 255, "bfloat16": 1 / 128, "float16": 1e-3}.get(kind, 1e-7)
    assert wave.dtype == np.float32
    assert np.abs(wave - plain).max() <= tolerance
    # Taken to be at the rate that is asked for, unless it is said.
    assert len(Sound(given, rate=48000).load(24000)) == -(-len(plain) // 2)
    assert Sound(given).seconds() is None
    assert Sound(given, rate=48000).seconds() == pytest.approx(len(plain) / 48000)


def test_shapes_of_samples() -> None:
    samples = noise(0.1).astype(np.float32)
    for given in (samples.T, samples, samples.T[None], torch.from_numpy(samples.T)):
        assert np.array_equal(Sound(given).load(24000), mono(samples))
    for given, message in (
        (np.zeros((3, 4, 5)), "is no shape of a sound"),
        (np.zeros(0), "has no samples"),
        (np.zeros((2, 0)), "has no samples"),
        (np.zeros(9, complex), "complex128 are no samples"),
        (np.array(["a"]), "are no samples"),
    ):
        with pytest.raises(DataError, match=message):
            Sound(given).load(24000)


def test_cells_of_data_sets_and_parts_of_messages(tmp_path: Path) -> None:
    samples = noise(0.1, channels=1)
    content, expected = encode(samples), mono(samples)
    (tmp_path / "a.wav").write_bytes(content)
    text = base64.b64encode(content).decode()

    class Decoded:
        def get_all_samples(self) -> Any:
            return type("Samples", (), {"data": torch.from_numpy(samples.T), "sample_rate": 44100.0})()

    for value in (
        {"bytes": content, "path": "gone.wav"},
        {"bytes": None, "path": "a.wav"},
        {"array": expected, "sampling_rate": 44100, "path": "gone.wav"},
        {"array": expected.tolist(), "sampling_rate": 44100},
        {"type": "audio", "audio": "a.wav"},
        {"type": "input_audio", "input_audio": {"data": text, "format": "wav"}},
        {"type": "audio_url", "audio_url": {"url": f"data:audio/wav;base64,{text}"}},
        f"data:audio/wav;base64,{text}",
        (tmp_path / "a.wav").as_uri(),
        Part("audio", "a.wav"),
        bytearray(content),
        Decoded(),
        Sound(content),
    ):
        assert np.allclose(as_sound(value, home=tmp_path).load(44100), expected, atol=1e-7)
    sound = as_sound({"array": expected, "sampling_rate": 44100})
    assert sound.rate == 44100
    assert len(sound.load(22050)) == len(expected) // 2
    for value, message in (
        ({"text": "x"}, "no sound in an object with text"),
        ({"bytes": "%%%"}, "is not base64"),
        (7, "type int is no sound"),
        (None, "type NoneType is no sound"),
        ("http://key:secret@host/a.wav?token=1", "is on another machine"),
        ("", "names no sound"),
        ({"array": expected, "sampling_rate": 3}, "3 samples a second"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            as_sound(value)
        assert "secret" not in str(caught.value)


def test_services_take_it_as_base64(tmp_path: Path) -> None:
    content = encode(noise(0.05), "FLAC")
    (tmp_path / "a.flac").write_bytes(content)
    for given in (tmp_path / "a.flac", str(tmp_path / "a.flac"), Sound(content), content, {"bytes": content}):
        sent = read_sound(given)
        assert (base64.b64decode(sent["data"]), sent["format"]) == (content, "flac")
    given = {"data": "QUJD", "format": "pcm16"}
    assert read_sound({"type": "input_audio", "input_audio": given}) == given
    # Samples in memory become a file first.
    samples = mono(noise(0.05, channels=1))
    sent = read_sound(Sound(samples, rate=16000))
    read, rate = soundfile.read(io.BytesIO(base64.b64decode(sent["data"])), dtype="float32")
    assert (sent["format"], rate) == ("wav", 16000)
    assert np.array_equal(read, samples)
    with pytest.raises(DataError, match="has no rate"):
        read_sound(Sound(samples))


def test_what_is_stored_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.wav").write_bytes(encode(noise(0.1)))
    sound = Sound("a.wav", home=tmp_path)
    reference = sound.reference()
    assert reference["audio"] == "a.wav" == sound.name
    assert sound.path == tmp_path / "a.wav"
    same = Sound((tmp_path / "a.wav").read_bytes())
    assert same.reference() == {"digest": reference["digest"]}
    assert Sound("gone.wav", home=tmp_path).reference() == {"audio": "gone.wav"}
    one, other = (Sound(np.zeros(5), rate=rate).reference()["digest"] for rate in (8000, 16000))
    assert one != other
    # A file is read once however often it is asked for, until it changes.
    monkeypatch.setattr(digests, "_hash", lambda file: pytest.fail("read again"))
    assert Sound(tmp_path / "a.wav").reference()["digest"] == reference["digest"]
    monkeypatch.undo()
    (tmp_path / "a.wav").write_bytes(encode(noise(0.2)))
    assert Sound(tmp_path / "a.wav").reference()["digest"] != reference["digest"]
    request = Request("1", {"audio": Part("audio", sound), "text": "x"})
    run = Run.create(tmp_path / "run", {})
    run.add(Record(0, Sample("1", request.prompt), request, Response(scores={"x": 1.0})))
    run.close()
    (record,) = Run.open(tmp_path / "run").records()
    stored = {"audio": {"kind": "audio", "data": reference}, "text": "x"}
    assert json.loads(json.dumps(record.request.prompt)) == stored == record.sample.input


def test_large_files_are_told_apart_by_some_places(tmp_path: Path) -> None:
    path = tmp_path / "large.wav"
    path.write_bytes(os.urandom(1 << 20) * 5)
    first = Sound(path).reference()["digest"]
    for place in (0, (5 << 20) - 1):
        content = bytearray(path.read_bytes())
        content[place] ^= 1
        path.write_bytes(content)
        second = Sound(path).reference()["digest"]
        assert second != first
        first = second


def test_files_for_a_page_that_plays_them() -> None:
    content = encode(noise(0.1), "OGG", "VORBIS")
    assert encode_sound(Sound(content)) == (content, ".ogg")
    samples = mono(noise(0.1))
    made, suffix = encode_sound(Sound(samples, rate=44100))
    assert suffix == ".flac"
    assert np.abs(Sound(made).load(44100) - samples).max() <= 1 / 32768


def test_many_threads_may_listen_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(encode(noise(1), "FLAC"))
    sound = Sound(tmp_path / "a.flac")
    expected = sound.load(24000)
    with ThreadPoolExecutor(8) as pool:
        for wave in pool.map(lambda _: sound.load(24000), range(32)):
            assert np.array_equal(wave, expected)


@pytest.mark.parametrize("options", [{"seconds": -1}, {"start": float("nan")}, {"seconds": float("inf")}])
def test_times_that_are_none(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=r"a number, 0 or more"):
        Sound(np.zeros(5)).load(24000, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a rate of 0"):
        Sound(np.zeros(5)).load(0)


def test_libraries_that_are_missing_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.wav").write_bytes(encode(noise(0.1)))
    (tmp_path / "a.m4a").write_bytes(encode_container(noise(0.1)))
    for library in ("soundfile", "av"):
        monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"soundfile is not installed.*steelyard\[audio\]"):
        Sound(tmp_path / "a.wav").load(24000)
    with pytest.raises(UsageError, match=r"av.*is not installed.*steelyard\[m4a\]"):
        Sound(tmp_path / "a.m4a").load(24000)
