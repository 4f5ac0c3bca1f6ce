"""Reward models of music: a request has one piece or a pair, and each piece gets its scores.

    class Loudness(RewardModel):
        def score(self, pieces):
            return [{"musicality": float(abs(piece.audio.load(24_000)).mean())} for piece in pieces]

A request's prompt is a mapping with the sound `audio` and, where there are any, `text`, `lyrics` and
`ref_audio`; of a pair, `audio_b` is the other sound. The scores of a pair's second piece end in `_b`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Union, cast

from steelyard.errors import ModelError, SteelyardError, UsageError, describe
from steelyard.media.sounds import Sound, as_sound
from steelyard.models.base import LocalModel, clock
from steelyard.types import Request, Response

_KEYS = ("audio", "text", "lyrics", "ref_audio", "audio_b")
_SIDES = (("a", ""), ("b", "_b"))


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of music to be judged, and what it was asked for with."""

    audio: Any
    text: str = ""
    lyrics: str = ""
    ref_audio: Any = None

    def to_dict(self) -> dict[str, Any]:
        """Its fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


Scored = Union[Mapping[str, float], str]
"""The scores of a piece by their names, or what is wrong with the piece."""


class RewardModel(LocalModel):
    """Judges pieces of music. Write `score`; the rest is there."""

    most_seconds: float | None = None
    """How many seconds of a sound it listens to at most."""

    _pieces = _repeated = 0
    _audio_seconds = _scoring = 0.0

    def score(self, pieces: Sequence[Piece]) -> Sequence[Scored]:
        """The scores of several pieces, whose sounds are Sounds; of one that has none, what is wrong."""
        raise TypeError(f"{type(self).__name__} has no score() method")

    def batch(self, requests: Sequence[Request]) -> list[Response]:
        """Score the pieces of all requests, equal ones once."""
        asked = [look_at(request) for request in requests]
        pieces = {mark_of(side): side for sides in asked for side in sides if isinstance(side, Piece)}
        scored = self._score_all(pieces, alone=len(requests) == 1)
        self._pieces += len(pieces)
        lasting = {mark: self._seconds(piece, scored[mark]) for mark, piece in pieces.items()}
        self._audio_seconds += sum(seconds or 0.0 for seconds in lasting.values())
        responses = []
        for sides in asked:
            marks = [None if isinstance(side, str) else mark_of(side) for side in sides]
            judged = [side if isinstance(side, str) else scored[mark] for side, mark in zip(sides, marks)]
            remarks = ["" if mark is None else _remark_on(pieces[mark]) for mark in marks]
            responses.append(_respond(judged, [lasting.get(mark) for mark in marks], remarks))
            self._repeated += sum(mark is not None for mark in marks)
        self._repeated -= len(pieces)
        return responses

    def spent(self) -> Mapping[str, float]:
        """How many pieces were scored, how long they last, and how long that took."""
        return {
            "pieces": self._pieces,
            "repeated": self._repeated,
            "audio_seconds": self._audio_seconds,
            "scoring": self._scoring,
        }

    def _score_all(self, pieces: Mapping[Hashable, Piece], *, alone: bool) -> dict[Hashable, Scored]:
        """Score all together; where that fails and they are of one request, each by itself."""
        if not pieces:
            return {}
        try:
            given = self._score(list(pieces.values()))
        except (Exception, SystemExit) as error:
            # Several requests are halved by whoever asks, till the one at fault is alone.
            if not alone:
                raise
            failure = str(error) if isinstance(error, SteelyardError) else describe(error)
            if len(pieces) == 1:
                return dict.fromkeys(pieces, failure)
            one_by_one = [self._score_all({mark: piece}, alone=True) for mark, piece in pieces.items()]
            return {mark: scores for found in one_by_one for mark, scores in found.items()}
        return dict(zip(pieces, given))

    def _score(self, pieces: Sequence[Piece]) -> list[Scored]:
        begun = clock()
        given = list(self.score(pieces))
        self._scoring += clock() - begun
        if len(given) != len(pieces):
            raise ModelError(f"{self.name} gave {len(given)} scores to {len(pieces)} pieces")
        return [_check(self.name, scores) for scores in given]

    def _seconds(self, piece: Piece, scores: Scored) -> float | None:
        """How much of a piece was listened to, where that is known."""
        if isinstance(scores, str):
            return None
        with contextlib.suppress(SteelyardError):
            seconds: float | None = piece.audio.seconds()
            if seconds is not None:
                return round(seconds if self.most_seconds is None else min(seconds, self.most_seconds), 3)
        return None


def score_pieces(
    model: RewardModel,
    pieces: Sequence[Piece],
    *,
    batch_size: int,
    watch: Callable[[int], None] | None = None,
) -> list[Mapping[str, float]]:
    """The scores of pieces without an evaluation around them; raises what is wrong with one that has none.

    While a batch is scored the next one is made ready; `watch` is told how many are done.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise UsageError(f"batch_size={batch_size!r}", hint="how many pieces are scored at a time: 1 or more")
    requests = [Request(str(place), _prompt_of(piece)) for place, piece in enumerate(pieces)]
    found: list[Mapping[str, float]] = []
    for begin in range(0, len(requests), batch_size):
        if ahead := requests[begin + batch_size : begin + 2 * batch_size]:
            model.prepare(ahead)
        for response in model.batch(requests[begin : begin + batch_size]):
            if response.error is not None:
                raise ModelError(f"piece {len(found)}: {response.error}")
            found.append(cast("Mapping[str, float]", response.scores))
        if watch is not None:
            watch(len(found))
    return found


def pieces_of(request: Request) -> tuple[Piece, ...]:
    """The piece that a request asks about, or both of a pair; raises what is wrong with them."""
    return tuple(_piece_of(_read(request), key) for key in _keys_of(request))


def mark_of(piece: Piece) -> Hashable:
    """What equal pieces of a batch have in common."""
    return _mark(piece.audio), piece.text, piece.lyrics, _mark(piece.ref_audio)


def _remark_on(piece: Piece) -> str:
    """What is odd about the sounds of a piece that was scored."""
    reference = "" if piece.ref_audio is None else piece.ref_audio.remark
    return "; ".join(filter(None, [piece.audio.remark, reference and f"its reference: {reference}"]))


def _mark(sound: Sound | None) -> Hashable:
    if sound is None:
        return None
    return str(sound.path) if sound.path is not None else id(sound)


def look_at(request: Request) -> list[Piece | str]:
    """The pieces of a request, or what is wrong with each of them."""
    sides: list[Piece | str] = []
    try:
        keys = _keys_of(request)
    except UsageError as error:
        return [str(error)]
    for key in keys:
        try:
            sides.append(_piece_of(_read(request), key))
        except SteelyardError as error:
            sides.append(str(error))
    return sides


def _read(request: Request) -> Mapping[str, Any]:
    prompt = request.prompt
    if not isinstance(prompt, Mapping):
        hint = "its prompt is a mapping with audio and, where there are any, text, lyrics, ref_audio, audio_b"
        raise UsageError("a model that judges music takes no text and no chat", hint=hint)
    for key in prompt:
        if key not in _KEYS:
            raise UsageError(f"a piece of music has no {key!r}", hint="it has " + ", ".join(_KEYS))
    return prompt


def _prompt_of(piece: Piece) -> dict[str, Any]:
    return {name: value for name, value in piece.to_dict().items() if value is not None}


def _keys_of(request: Request) -> tuple[str, ...]:
    """Where the sounds to be judged stand in a prompt."""
    prompt = _read(request)
    if prompt.get("audio") is None:
        raise UsageError("there is no audio")
    return ("audio",) if prompt.get("audio_b") is None else ("audio", "audio_b")


def _piece_of(prompt: Mapping[str, Any], key: str) -> Piece:
    reference = prompt.get("ref_audio")
    return Piece(
        as_sound(prompt[key]),
        _text(prompt, "text"),
        _text(prompt, "lyrics"),
        None if reference is None else as_sound(reference),
    )


def _text(prompt: Mapping[str, Any], key: str) -> str:
    text = prompt.get(key)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise UsageError(f"{key} is a {type(text).__name__}, not a text")
    return text


def _check(name: str, scores: Any) -> Scored:
    """The scores of a piece as numbers, or what is wrong with them."""
    if isinstance(scores, str):
        return scores
    if not isinstance(scores, Mapping) or not scores:
        return f"{name} gave a {type(scores).__name__} for a piece, not its scores by name"
    found: dict[str, float] = {}
    for key, value in scores.items():
        try:
            found[str(key)] = number = float(value)
        except (TypeError, ValueError):
            return f"{name} gave a {type(value).__name__} for {key}"
        if not math.isfinite(number):
            return f"{name} gave {number} for {key}"
    return found


def _respond(judged: Sequence[Scored], seconds: Sequence[float | None], remarks: Sequence[str]) -> Response:
    errors = [one if isinstance(one, str) else None for one in judged]
    scores = {
        f"{key}{ending}": value
        for (_, ending), one in zip(_SIDES, judged)
        if not isinstance(one, str)
        for key, value in one.items()
    }
    said = [
        why if len(judged) == 1 else f"side {side}: {why}" for (side, _), why in zip(_SIDES, errors) if why
    ]
    raw = {"valid": [not why for why in errors], "errors": errors, "seconds": list(seconds)}
    if any(remarks):
        raw["remarks"] = list(remarks)
    return Response(scores=scores or None, error="; ".join(said) or None, raw=raw)
