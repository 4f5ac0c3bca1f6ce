"""Reward models: one piece or a pair a request, scored once each, failures that cost only their side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from steelyard import Part, Request, Response, Sample, Task, evaluate
from steelyard.engine import answer
from steelyard.errors import UsageError
from steelyard.media.sounds import Sound
from steelyard.metrics.text import exact
from steelyard.models.rewards import Piece, RewardModel, Scored, pieces_of

RATE = 8000


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sounds 1.wav to 5.wav: as many tenths of a second, and as many tenths loud."""
    folder = tmp_path_factory.mktemp("songs")
    for loud in range(1, 6):
        soundfile.write(folder / f"{loud}.wav", np.full(RATE * loud // 10, loud / 10), RATE, subtype="FLOAT")
    return folder


class Loudness(RewardModel):
    """How loud a piece is, and how long what was asked for."""

    def __init__(self, *, poison: float = math.inf) -> None:
        self.asked: list[int] = []
        self.poison = poison

    def score(self, pieces: Sequence[Piece]) -> list[Scored]:
        self.asked.append(len(pieces))
        scores: list[Scored] = []
        for piece in pieces:
            loud = float(np.abs(piece.audio.load(RATE)).mean())
            if round(loud, 3) == self.poison:
                raise ValueError(f"{loud:.1f} is too loud")
            reference = 0.0 if piece.ref_audio is None else float(np.abs(piece.ref_audio.load(RATE)).mean())
            scores.append({"alignment": len(piece.text + piece.lyrics) + reference, "musicality": loud})
        return scores


def ask(model: RewardModel, *prompts: Any) -> list[Response]:
    responses = answer(model, [Request(str(place), prompt) for place, prompt in enumerate(prompts)])
    model.close()
    return responses


def part(path: Path) -> Part:
    return Part("audio", Sound(path))


def rounded(scores: Any) -> dict[str, float]:
    assert isinstance(scores, Mapping)
    return {name: round(value, 5) for name, value in scores.items()}


def test_a_piece_and_a_pair(songs: Path) -> None:
    one = {"audio": part(songs / "2.wav"), "text": "jazz", "lyrics": "la la"}
    pair = {**one, "ref_audio": part(songs / "5.wav"), "audio_b": part(songs / "3.wav")}
    single, both = ask(Loudness(), one, pair)
    assert rounded(single.scores) == {"alignment": 9, "musicality": 0.2}
    assert single.raw == {"valid": [True], "errors": [None], "seconds": [0.2]}
    assert rounded(both.scores) == {
        "alignment": 9.5, "musicality": 0.2, "alignment_b": 9.5, "musicality_b": 0.3,
    }  # fmt: skip
    assert both.raw == {"valid": [True, True], "errors": [None, None], "seconds": [0.2, 0.3]}
    assert (single.error, both.error) == (None, None)


def test_equal_pieces_of_a_batch_are_scored_once(songs: Path) -> None:
    model = Loudness()
    pair = {"audio": songs / "1.wav", "audio_b": songs / "2.wav", "text": "x"}
    swapped = {"audio": songs / "2.wav", "audio_b": songs / "1.wav", "text": "x"}
    other = {"audio": songs / "1.wav", "text": "another"}
    answers = ask(model, pair, swapped, other, pair)
    assert model.asked == [3]
    assert [rounded(one.scores).get("musicality_b") for one in answers] == [0.2, 0.1, None, 0.2]
    spent = model.spent()
    assert {name: spent[name] for name in ("pieces", "repeated")} == {"pieces": 3, "repeated": 4}
    assert spent["audio_seconds"] == pytest.approx(0.4)


def test_the_side_that_fails_is_named_and_the_other_keeps_its_scores(songs: Path) -> None:
    gone, odd = {"audio": songs / "1.wav", "audio_b": songs / "9.wav"}, {"audio": 7, "audio_b": "x.wav"}
    good = {"audio": songs / "4.wav"}
    missing, both, whole = ask(Loudness(), gone, odd, good)
    assert rounded(missing.scores) == {"alignment": 0, "musicality": 0.1}
    assert missing.error is not None
    assert missing.error.startswith("side b: ")
    assert "9.wav" in missing.error
    assert missing.raw["valid"] == [True, False]
    assert missing.raw["errors"][0] is None
    assert missing.raw["seconds"] == [0.1, None]
    assert both.scores is None
    assert both.error is not None
    assert "side a: something of the type int is no sound" in both.error
    assert "side b: " in both.error
    assert whole.error is None


@pytest.mark.parametrize("side", ["audio", "audio_b"])
def test_a_model_that_raises_fails_one_side_of_one_pair(songs: Path, side: str) -> None:
    pairs: list[dict[str, Any]] = [
        {"audio": songs / "1.wav", "audio_b": songs / "2.wav", "text": str(n)} for n in range(5)
    ]
    pairs[3][side] = songs / "5.wav"
    answers = ask(Loudness(poison=0.5), *pairs)
    assert [one.error is None for one in answers] == [True, True, True, False, True]
    letter = "a" if side == "audio" else "b"
    assert answers[3].error == f"side {letter}: ValueError: 0.5 is too loud"
    assert answers[3].raw["valid"] == [letter == "b", letter == "a"]


class Fixed(RewardModel):
    def __init__(self, given: Any) -> None:
        self.given = given

    def score(self, pieces: Sequence[Piece]) -> Any:
        return [self.given for _ in pieces] if not isinstance(self.given, list) else self.given


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"musicality": math.nan}, "Fixed gave nan for musicality"),
        ({"musicality": math.inf}, "Fixed gave inf for musicality"),
        ({"musicality": "good"}, "Fixed gave a str for musicality"),
        ({}, "Fixed gave a dict for a piece"),
        (0.5, "Fixed gave a float for a piece"),
        ("no idea", "no idea"),
        ([], "gave 0 scores to 1 pieces"),
    ],
)
def test_scores_that_are_none_are_errors(songs: Path, given: Any, said: str) -> None:
    (found,) = ask(Fixed(given), {"audio": songs / "1.wav"})
    assert said in (found.error or "")
    assert found.scores is None
    assert found.raw["valid"] == [False]


def test_other_names_of_scores_are_kept(songs: Path) -> None:
    (found,) = ask(Fixed({"score": np.float32(0.5)}), {"audio": songs / "1.wav", "audio_b": songs / "2.wav"})
    assert found.scores == {"score": 0.5, "score_b": 0.5}


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("a text", "takes no text"),
        ([{"role": "user", "content": "x"}], "takes no text"),
        ({"text": "x"}, "there is no audio"),
        ({"audio": None}, "there is no audio"),
        ({"audio": "x.wav", "ref-audio": "y.wav"}, "has no 'ref-audio'"),
        ({"audio": "x.wav", "text": 7}, "text is a int"),
    ],
)
def test_prompts_that_ask_nothing(prompt: Any, said: str) -> None:
    request = Request("0", prompt)
    with pytest.raises(UsageError, match=said):
        pieces_of(request)
    (found,) = ask(Loudness(), prompt)
    assert said in (found.error or "")


def test_pieces_of_a_request(songs: Path) -> None:
    a, b = pieces_of(Request("0", {"audio": songs / "1.wav", "audio_b": part(songs / "2.wav"), "text": None}))
    assert (a.audio.path, b.audio.path, a.text, b.ref_audio) == (songs / "1.wav", songs / "2.wav", "", None)
    assert list(a.to_dict()) == ["audio", "text", "lyrics", "ref_audio"]
    assert pieces_of(Request("0", {"audio": np.zeros(8)}))[0].audio.path is None


def test_a_run_notes_what_was_spent(songs: Path, tmp_path: Path) -> None:
    samples = [
        Sample(str(n), {"audio": Part("audio", Sound(songs / f"{n}.wav")), "text": "x"}) for n in range(1, 6)
    ]
    run = evaluate(Loudness(), Task(name="t", data=samples, metrics=[exact]), out=tmp_path / "r")
    spent = run.about["spent"]
    assert (spent["pieces"], spent["audio_seconds"]) == (5, pytest.approx(1.5))
    stored = [record.response.scores for record in run.records()]
    assert sorted(rounded(scores)["musicality"] for scores in stored) == [0.1, 0.2, 0.3, 0.4, 0.5]
