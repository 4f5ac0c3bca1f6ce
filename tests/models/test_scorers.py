"""Classes with `sr` and `score_batch` as reward models: what they are given, and what they may give."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from steelyard import Request, Response
from steelyard.engine import answer
from steelyard.errors import ModelError, UsageError
from steelyard.media.sounds import Sound
from steelyard.models.base import Model
from steelyard.models.references import open_model
from steelyard.models.rewards import Piece
from steelyard.models.scorers import Incomplete, Scorer

RATE = 16_000


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("songs")
    paths = [folder / f"{number}.wav" for number in range(6)]
    for number, path in enumerate(paths):
        soundfile.write(path, np.full(RATE // 10, number / 10), RATE)
    return paths


class Counting:
    """Scores a piece by the number in its name and the length of its text."""

    sr = RATE

    def __init__(self, checkpoint: str = "", device: str = "cpu", *, bias: float = 0.0) -> None:
        self.checkpoint, self.device, self.bias = checkpoint, device, bias
        self.seen: list[tuple[list[Piece], dict[str, Any]]] = []
        self.closed = False

    def score_batch(
        self, inputs: Sequence[Piece], batch_size: int, max_dur: float | None, **kwargs: Any
    ) -> Any:
        print("scoring", len(inputs))
        self.seen.append((list(inputs), {"batch_size": batch_size, "max_dur": max_dur, **kwargs}))
        return np.array([self.score(piece) for piece in inputs])

    def score(self, piece: Piece) -> tuple[float, float]:
        return len(piece.text) + self.bias, float(Path(piece.audio).stem)

    def close(self) -> None:
        self.closed = True


def ask(model: Model, *prompts: Any) -> list[Response]:
    responses = answer(model, [Request(str(place), prompt) for place, prompt in enumerate(prompts)])
    model.close()
    return responses


def test_pairs_are_no_more_pieces_at_a_time(songs: list[Path]) -> None:
    thing = Counting()
    pairs = [{"audio": one, "audio_b": other} for one, other in pairwise(songs)]
    scores = [one.scores for one in ask(Scorer(thing, batch_size=2), *pairs)]
    assert scores == [
        {"alignment": 0.0, "musicality": place, "alignment_b": 0.0, "musicality_b": place + 1.0}
        for place in range(5)
    ]
    assert max(len(inputs) for inputs, _ in thing.seen) == 2


def test_it_is_asked_as_documented(songs: list[Path]) -> None:
    thing = Counting()
    model = Scorer(thing, max_dur=30, batch_size=4, score_kwargs={"dur_step": 5})
    prompts = [
        {"audio": song, "text": "x" * place, "lyrics": "la", "ref_audio": songs[0]}
        for place, song in enumerate(songs)
    ]
    answers = ask(model, *prompts)
    assert [one.scores for one in answers] == [
        {"alignment": float(place), "musicality": float(place)} for place in range(6)
    ]
    assert sorted(len(inputs) for inputs, _ in thing.seen) == [2, 4]
    inputs, asked = thing.seen[0]
    assert asked == {"batch_size": 4, "max_dur": 30, "dur_step": 5}
    assert inputs[1].to_dict() == {
        "audio": str(songs[1]), "text": "x", "lyrics": "la", "ref_audio": str(songs[0]),
    }  # fmt: skip
    assert thing.closed
    assert answers[0].raw["seconds"] == [0.1]


def test_pairs_and_sounds_that_lie_in_no_file(songs: list[Path]) -> None:
    class Looking(Counting):
        def score(self, piece: Piece) -> tuple[float, float]:
            assert isinstance(piece.audio, torch.Tensor)
            return float(len(piece.audio)), float(piece.audio.abs().mean())

    encoded = songs[3].read_bytes()
    prompt = {"audio": encoded, "audio_b": Sound(np.full(100, 0.5)), "text": "x"}
    (found,) = ask(Scorer(Looking()), prompt)
    assert found.error is None
    assert isinstance(found.scores, dict)
    assert found.scores["alignment"] == RATE / 10
    assert found.scores["musicality"] == pytest.approx(0.3, abs=1e-4)
    assert (found.scores["alignment_b"], found.scores["musicality_b"]) == (100.0, 0.5)


def test_what_cannot_be_heard_is_not_shown_to_it(songs: list[Path]) -> None:
    thing = Counting()
    answers = ask(Scorer(thing), {"audio": b"no sound at all"}, {"audio": songs[2]})
    assert [one.error is None for one in answers] == [False, True]
    assert [len(inputs) for inputs, _ in thing.seen] == [1]


@pytest.mark.parametrize("side", [0, 1])
def test_one_bad_piece_costs_only_its_side(songs: list[Path], side: int) -> None:
    class Refusing(Counting):
        def score(self, piece: Piece) -> tuple[float, float]:
            if piece.audio.endswith("5.wav"):
                raise OSError("cannot decode")
            return super().score(piece)

    pair = [songs[1], songs[1]]
    pair[side] = songs[5]
    bad = {"audio": pair[0], "audio_b": pair[1]}
    answers = ask(Scorer(Refusing()), *({"audio": song} for song in songs[:5]), bad)
    assert [one.error for one in answers[:5]] == [None] * 5
    assert answers[5].error == f"side {'ab'[side]}: OSError: cannot decode"
    assert list(answers[5].scores or {}) == [
        f"{name}{['_b', ''][side]}" for name in ("alignment", "musicality")
    ]


GOOD: list[Callable[[Any], Any]] = [
    lambda scores: scores.tolist(),
    torch.tensor,
    lambda scores: torch.tensor(scores, dtype=torch.bfloat16, requires_grad=True),
    lambda scores: scores.astype(np.float16),
    lambda scores: [torch.tensor(row) for row in scores],
]


@pytest.mark.parametrize("form", GOOD)
def test_scores_may_come_in_many_forms(songs: list[Path], form: Callable[[Any], Any]) -> None:
    class Other(Counting):
        def score_batch(self, inputs: Any, batch_size: int, max_dur: float | None) -> Any:
            return form(np.array([self.score(piece) for piece in inputs]))

    answers = ask(Scorer(Other()), *({"audio": song, "text": "four"} for song in songs))
    assert [one.scores for one in answers] == [
        {"alignment": 4.0, "musicality": float(place)} for place in range(6)
    ]


BAD: list[tuple[Callable[[Any], Any], str]] = [
    (lambda scores: scores[:, 0], r"Other.score_batch gave a ndarray of shape \(1,\)"),
    (lambda scores: np.hstack([scores, scores]), r"shape \(1, 4\) \(for 1 pieces it must be \(1, 2\)\)"),
    (lambda scores: scores[:-1], r"shape \(0, 2\)"),
    (lambda scores: None, "gave a NoneType that is no array of numbers"),
    (lambda scores: scores + 1j, "gave a ndarray that is no array of numbers"),
    (lambda scores: scores.astype(str).tolist(), "gave a list that is no array of numbers"),
    (lambda scores: [{"alignment": 1}], "gave a list that is no array of numbers"),
    (lambda scores: "good", "gave a str that is no array of numbers"),
    (lambda scores: scores * math.nan, "Other gave nan for alignment"),
]


@pytest.mark.parametrize(("form", "said"), BAD)
def test_scores_that_are_none_name_class_and_shape(
    songs: list[Path], form: Callable[[Any], Any], said: str
) -> None:
    class Other(Counting):
        def score_batch(self, inputs: Any, batch_size: int, max_dur: float | None) -> Any:
            return form(super().score_batch(inputs, batch_size, max_dur))

    (found,) = ask(Scorer(Other()), {"audio": songs[1]})
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(found.error)


def test_scores_that_are_turned_round_are_not_taken_for_others(songs: list[Path]) -> None:
    class Turned(Counting):
        def score_batch(self, inputs: Any, batch_size: int, max_dur: float | None) -> Any:
            return super().score_batch(inputs, batch_size, max_dur).T

    answers = ask(Scorer(Turned()), *({"audio": song} for song in songs))
    wanted = "Turned.score_batch gave a ndarray of shape (2, 6) (for 6 pieces it must be (6, 2))"
    assert [one.error for one in answers] == [wanted] * 6


def test_one_nan_is_one_failure(songs: list[Path]) -> None:
    class Odd(Counting):
        def score(self, piece: Piece) -> tuple[float, float]:
            return math.nan if piece.audio.endswith("4.wav") else 0.0, 1.0

    answers = ask(Scorer(Odd()), *({"audio": song} for song in songs))
    assert [one.error for one in answers] == [None, None, None, None, "Odd gave nan for alignment", None]


class Documented(ABC):
    @property
    @abstractmethod
    def sr(self) -> int: ...

    @abstractmethod
    def score_batch(self, inputs: Any, batch_size: int, max_dur: float, **kwargs: Any) -> Any: ...


class Half(Documented):
    def score_batch(self, inputs: Any, batch_size: int, max_dur: float, **kwargs: Any) -> Any: ...


class Rateless:
    def score_batch(self, inputs: Any, batch_size: int, max_dur: float, **kwargs: Any) -> Any: ...


class Odd(Rateless):
    sr = "24000"


class Silent:
    sr = 24_000


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: open_model(Documented), "Documented has no score_batch and no sr"),
        (lambda: open_model(Half), "Half has no sr"),
        (lambda: open_model(Rateless), "Rateless has no sr"),
        (lambda: open_model(Odd), "the sr of Odd is '24000'"),
        (lambda: Scorer(Silent()), "Silent has no score_batch"),
        (lambda: Scorer(object()), "object has no sr and no score_batch"),
    ],
)
def test_what_is_missing_is_named(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(TypeError, match=said) as caught:
        make()
    assert isinstance(caught.value, ModelError)
    assert isinstance(caught.value, Incomplete)


def test_classes_of_any_file_are_opened_with_their_options(tmp_path: Path, songs: list[Path]) -> None:
    (tmp_path / "mine.py").write_text(
        "class Plain:\n"
        "    def __init__(self):\n"
        "        self.sr = 8000\n"
        "    def score_batch(self, inputs, batch_size, max_dur):\n"
        "        return [[len(i.text), i.audio.endswith('1.wav')] for i in inputs]\n"
        "class Keen(Plain):\n"
        "    def __init__(self, config=None, **others):\n"
        "        super().__init__()\n"
        "        self.told = {'config': config, **others}\n"
        "def make():\n"
        "    return Plain()\n"
    )
    offered = {"checkpoint": "x.safetensors", "device": "cuda:0"}
    plain = open_model(f"{tmp_path / 'mine.py'}:Plain", **offered, max_dur=10, batch_size=2)
    assert isinstance(plain, Scorer)
    assert (plain.name, plain.max_dur, plain.batch_size) == ("Plain", 10, 2)
    (found,) = ask(plain, {"audio": songs[1], "text": "abc"})
    assert found.scores == {"alignment": 3.0, "musicality": 1.0}
    keen: Any = open_model(f"{tmp_path / 'mine.py'}:Keen", **offered, config="c.yaml", max_dur=None)
    assert keen._thing.told == {"config": "c.yaml", **offered}
    assert keen.max_dur is None
    with pytest.raises(UsageError, match=r"Plain has no option 'cofnig'"):
        open_model(f"{tmp_path / 'mine.py'}:Plain", cofnig="c.yaml")
    thing = open_model(Counting(bias=3))
    assert isinstance(thing, Scorer)
    keen.close()
    thing.close()


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"max_dur": 0}, {"score_kwargs": "x"}])
def test_options_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        Scorer(Counting(), **options)


def test_a_constructor_that_fails_says_whose_it_is() -> None:
    class Broken(Counting):
        def __init__(self) -> None:
            raise OSError("no weights")

    with pytest.raises(ModelError, match="Broken could not be opened: OSError: no weights"):
        open_model(Broken)


def test_identities_tell_apart_what_scores_apart(tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"one")
    options: list[dict[str, Any]] = [
        {}, {"batch_size": 3}, {"bias": 1.0}, {"max_dur": 30}, {"score_kwargs": {"k": 1}}, {"device": "cuda"},
    ]  # fmt: skip
    models = [open_model(Counting, checkpoint=str(weights), **some) for some in options]
    first, same, *others = [str(model.identity()) for model in models]
    weights.write_bytes(b"two")
    others.append(str(models[0].identity()))
    assert first == same
    assert len({first, *others}) == 6
    assert str(Scorer(Counting(bias=1)).identity()) != str(Scorer(Counting(bias=2)).identity())
    thing: Any = Counting()
    thing.api_key = "s3cret"
    assert "s3cret" not in str(Scorer(thing).identity())
