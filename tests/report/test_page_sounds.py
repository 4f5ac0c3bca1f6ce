"""Sounds of a run in its page: found again by what they were, made anew, linked to where there is no room."""

from __future__ import annotations

import base64
import io
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from reward_runs import Judge, judged, rows, tone
from test_pages import ATTACKS, Page

from steelyard import Part, Run, Sample, Task, evaluate
from steelyard.media.sounds import Sound
from steelyard.metrics.correlations import musicality_srcc
from steelyard.report import sounds
from steelyard.report.contents import read_contents
from steelyard.report.pages import draw_page


def shown(run: Run, *, keep: int = 500) -> str:
    return draw_page([read_contents(run, keep=keep)])


def clips(page: str) -> list[tuple[np.ndarray[Any, Any], int]]:
    (inside,) = re.findall(r'<template id="clips">(.*?)</template>', page) or [""]
    encoded = re.findall(r"<i>([A-Za-z0-9+/=]+)</i>", inside)
    return [soundfile.read(io.BytesIO(base64.b64decode(one))) for one in encoded]


def pitch(wave: np.ndarray[Any, Any], rate: int) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(wave))) * rate / len(wave))


def policy(page: Page) -> str:
    return next(value for _, name, value in page.attributes if name == "content" and "default-src" in value)


def asked(path: Path, samples: list[Sample]) -> Run:
    targets = {sample.id: sample.target for sample in samples}
    task = Task(name="t", data=samples, metrics=[musicality_srcc])
    return evaluate(Judge("judge", targets, noise=0.1), task, out=path)


def rated(name: str, sound: Any) -> Sample:
    return Sample(name, {"audio": Part("audio", sound), "text": f"play {name}"}, {"musicality": 3.0})


def test_each_sound_is_in_a_page_once_and_can_be_played(tmp_path: Path) -> None:
    run = judged(tmp_path / "r", rows(tmp_path / "songs", 8), "judge", noise=0.1)
    text = shown(run)
    page = Page(text)
    found = clips(text)
    # Eight pieces, four others, and one reference that four pairs share.
    assert len(found) == 13
    assert sorted(round(pitch(*one), -1) for one in found) == sorted(
        [*(200 + 20 * n for n in range(8)), *[1000] * 4, 440]
    )
    players = [int(value) for tag, name, value in page.attributes if (tag, name) == ("audio", "data-clip")]
    assert len(players) == 8 + 4 * 2 and set(players) == set(range(13))
    assert "media-src data:" in policy(page) and "src" not in {name for _, name, _ in page.attributes}
    links = [value for tag, name, value in page.attributes if (tag, name) == ("a", "href")]
    assert len(links) == 16 and set(links) >= {(tmp_path / "songs" / "a0.wav").as_uri()}
    words = " ".join("".join(page.text).split())
    for said in ("a a1.wav 0.25 s", "b b1.wav 0.25 s", "reference reference.flac 0.25 s", "people prefer"):
        assert said in words
    assert "30 s listened to" in words and "4 s of all threads" in words
    assert "PAM musicality" in words and "Pairs preference: margin" in words and "calm piano" in words


def test_only_the_beginning_of_a_long_sound_is_in_a_page(tmp_path: Path) -> None:
    tone(tmp_path / "long.wav", seconds=40)
    text = shown(asked(tmp_path / "r", [rated("long", Sound("long.wav", home=tmp_path))]))
    ((wave, rate),) = clips(text)
    assert len(wave) / rate == pytest.approx(30, abs=0.2)
    assert len(text) < 300_000


def test_what_changed_or_went_is_named_and_not_played(tmp_path: Path) -> None:
    names = ("stays", "changes", "goes", "torn")
    for name in names:
        tone(tmp_path / f"{name}.wav")
    (tmp_path / "torn.wav").write_text("no sound at all")
    run = asked(tmp_path / "r", [rated(name, Sound(f"{name}.wav", home=tmp_path)) for name in names])
    tone(tmp_path / "changes.wav", pitch=900)
    (tmp_path / "goes.wav").unlink()
    text = shown(run)
    assert len(clips(text)) == 1
    assert "changes.wav, changed since" in text and "goes.wav, not found" in text
    assert re.search(r"<b>sound</b> torn\.wav, [^<]*text", text)


def test_sounds_that_lie_in_no_file_come_with_the_run(tmp_path: Path) -> None:
    wave = np.sin(np.arange(8000) * 0.3).astype(np.float32)
    content = tone(tmp_path / "held.wav", pitch=700).read_bytes()
    run = asked(tmp_path / "r", [rated("array", Sound(wave, rate=8000)), rated("bytes", Sound(content))])
    (tmp_path / "held.wav").unlink()
    moved = Run.open(run.path.rename(tmp_path / "elsewhere"))
    found = clips(shown(moved))
    assert [round(pitch(*one), -1) for one in found] == [380, 700]


def test_once_a_page_is_full_sounds_are_linked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = judged(tmp_path / "r", rows(tmp_path, 8), "judge", noise=0.1)
    monkeypatch.setattr(sounds, "_MOST_BYTES", 12_000)
    text = shown(run)
    few = len(clips(text))
    assert 0 < few < 13
    assert f"{13 - few} sounds are linked to only" in text
    assert text.count('<a href="file:///') == 16


def test_without_soundfile_a_page_says_why_there_are_no_players(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = judged(tmp_path / "r", rows(tmp_path, 4), "judge", noise=0.1)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    text = shown(run)
    assert "soundfile is not installed" in text and "<audio" not in text and "a0.wav" in text
    assert "media-src" not in policy(Page(text))


def test_what_is_furthest_off_is_in_the_page_wherever_it_stands(tmp_path: Path) -> None:
    samples = rows(tmp_path, 40)
    last = samples[26]
    targets = {sample.id: sample.target for sample in samples}
    judge = Judge("judge", {**targets, last.id: {"musicality": -9.0, "alignment": 0.0}}, noise=0.01)
    run = evaluate(judge, Task(name="t", data=samples[::2], metrics=[musicality_srcc]), out=tmp_path / "r")
    contents = read_contents(run, keep=3)
    assert [record.sample.id for record in contents.kept][:3] == ["s0", "s2", "s4"]
    assert last.id in [record.sample.id for record in contents.kept]
    text = draw_page([contents])
    assert "furthest from people" in text
    assert re.search(rf'data-state="[^"]*far">\s*<summary><span class="id">{last.id}<', text)


def test_nothing_of_a_sound_or_its_prompt_is_executable(tmp_path: Path) -> None:
    def pages(words: list[str]) -> Page:
        folder = tmp_path / str(abs(hash(tuple(words))))
        samples = []
        for n, word in enumerate(words):
            name = f"{n}{word}.wav".replace("/", "_")
            tone(folder / name)
            prompt = {"audio": Part("audio", Sound(name, home=folder)), "text": word, "lyrics": word}
            samples.append(Sample(f"{n}{word}", prompt, {"musicality": float(n)}, meta={"dataset": word}))
        page = Page(shown(asked(folder / "r", samples)))
        assert page.open == [] and page.tags["script"] == 1
        for tag, name, value in page.attributes:
            assert not name.startswith("on") and name not in ("src", "srcdoc", "action")
            assert name != "href" or (tag == "a" and value.startswith("file:///"))
        return page

    attacked, plain = pages(ATTACKS), pages([f"word{n}" for n in range(len(ATTACKS))])
    assert attacked.tags == plain.tags
    assert all("".join(attacked.text).count(attack) >= 3 for attack in ATTACKS)
