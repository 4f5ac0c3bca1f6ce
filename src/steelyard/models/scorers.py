"""Any object that scores pieces of music in batches as a reward model.

    class Mine:
        sr = 24_000
        def __init__(self, checkpoint, device="cpu"): ...
        def score_batch(self, inputs, batch_size, max_dur, **kwargs): ...     [N, 2]: alignment, musicality

Each input has `audio`, `text`, `lyrics` and `ref_audio`. A sound is the path of its file, or where it
lies in none its samples at `sr`: a tensor once torch is loaded, else an array.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from steelyard.errors import ModelError, SteelyardError, UsageError, describe
from steelyard.media.sounds import Sound
from steelyard.models.credentials import show_options
from steelyard.models.folders import fingerprint
from steelyard.models.rewards import Piece, RewardModel, Scored
from steelyard.plugins import call_with, source_digest

_MEMBERS = ("sr", "score_batch")
_COLUMNS = ("alignment", "musicality")
# What every such class is offered, and only one that takes it is given.
_OFFERED = ("checkpoint", "device")
_OWN = ("max_dur", "batch_size", "score_kwargs")
# Options that name files which shape the scores.
_FILES = ("checkpoint", "config", "path")
_PLAIN = (str, int, float, bool, type(None))


class Incomplete(ModelError, TypeError):
    """Something that is to score pieces of music lacks a member that it needs."""


def is_scorer(thing: Any) -> bool:
    """Whether an object or a class scores pieces of music in batches."""
    return callable(getattr(thing, "score_batch", None))


def open_scorer(make: type, options: Mapping[str, Any], *, asked: Mapping[str, Any] | None = None) -> Scorer:
    """Make an object of a class with its options, and the reward model that asks it.

    How it is asked (max_dur, batch_size, score_kwargs) stands among the options too, or all of it in `asked`.
    """
    lacking = sorted(getattr(make, "__abstractmethods__", ()))
    if lacking or not is_scorer(make):
        raise _incomplete(make.__name__, lacking or ["score_batch"])
    parameters = inspect.signature(make).parameters.values()
    takes = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD}
    takes_all = len(takes) < len(parameters)
    own = {name: options[name] for name in _OWN if name in options} if asked is None else {}
    given = {
        name: value
        for name, value in options.items()
        if name in takes or (name not in own and (takes_all or name not in _OFFERED))
    }
    scorer = Scorer(call_with(make.__name__, make, given), **(own if asked is None else asked))
    scorer.options = dict(options)
    return scorer


class Scorer(RewardModel):
    """An object with `sr` and `score_batch`, asked many pieces at a time."""

    metered = True

    def __init__(
        self,
        thing: Any,
        *,
        max_dur: float | None = 120,
        batch_size: int = 8,
        score_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        name = type(thing).__name__
        lacking = [member for member in _MEMBERS if getattr(thing, member, None) is None]
        if lacking or not is_scorer(thing):
            raise _incomplete(name, lacking or ["score_batch"])
        if isinstance(thing.sr, bool) or not hasattr(thing.sr, "__index__") or thing.sr < 1:
            raise Incomplete(f"the sr of {name} is {thing.sr!r}", hint="the samples a second, as 24000")
        if batch_size < 1 or (max_dur is not None and not max_dur > 0):
            raise UsageError(f"batch_size={batch_size}, max_dur={max_dur}", hint="both are more than 0")
        if score_kwargs is not None and not isinstance(score_kwargs, Mapping):
            raise UsageError(f"score_kwargs={score_kwargs!r} is no mapping", hint='as {"name": value}')
        self._thing, self._kwargs = thing, dict(score_kwargs or {})
        # As it was made: what it counts later on makes it no other.
        attributes: Mapping[str, Any] = getattr(thing, "__dict__", {})
        plain = {name: value for name, value in attributes.items() if isinstance(value, _PLAIN)}
        self._bound = show_options(plain)
        self.max_dur = self.most_seconds = max_dur
        self.batch_size = batch_size

    @property
    def name(self) -> str:
        """The name of the object's class."""
        return type(self._thing).__name__

    def identity(self) -> Mapping[str, Any]:
        """Its class and source, the options and files that made it, and how it is asked."""
        made, cls = show_options(self.options), type(self._thing)
        files = {name: Path(str(made[name])).expanduser() for name in _FILES if made.get(name)}
        return {
            "class": f"{type(self).__module__}.{type(self).__qualname__}",
            "object": f"{cls.__module__}.{cls.__qualname__}",
            "source": source_digest(cls),
            "options": {name: value for name, value in made.items() if name not in _OWN},
            "bound": self._bound,
            "weights": {name: fingerprint(path) for name, path in files.items() if path.exists()},
            "max_dur": self.max_dur,
            "score_kwargs": show_options(self._kwargs),
        }

    def score(self, pieces: Sequence[Piece]) -> list[Scored]:
        """Have the object score all pieces whose sounds can be had."""
        given = [self._show(piece) for piece in pieces]
        shown = [piece for piece in given if isinstance(piece, Piece)]
        # A pair is two pieces: there may be twice as many as were asked together.
        parts = [shown[begin : begin + self.batch_size] for begin in range(0, len(shown), self.batch_size)]
        rows = iter([scores for part in parts for scores in self._ask(part)])
        return [one if isinstance(one, str) else next(rows) for one in given]

    def close(self) -> None:
        """End the thread, and close the object if it can be."""
        super().close()
        close = getattr(self._thing, "close", None)
        if callable(close):
            close()

    def _show(self, piece: Piece) -> Piece | str:
        """A piece as the object takes it."""
        try:
            reference = None if piece.ref_audio is None else self._hand_over(piece.ref_audio)
            return Piece(self._hand_over(piece.audio), piece.text, piece.lyrics, reference)
        except SteelyardError as error:
            return str(error)

    def _hand_over(self, sound: Sound) -> Any:
        if sound.path is not None:
            return str(sound.path)
        samples = sound.load(self._thing.sr, seconds=self.max_dur)
        # Who has not loaded torch knows nothing of tensors.
        torch = sys.modules.get("torch")
        return samples if torch is None else torch.from_numpy(samples)

    def _ask(self, pieces: list[Piece]) -> list[Scored]:
        import numpy as np

        asked = {"batch_size": self.batch_size, "max_dur": self.max_dur}
        given = self._thing.score_batch(pieces, **{**asked, **self._kwargs})
        kind = type(given).__name__
        if hasattr(given, "detach"):
            # Neither what lies on another device nor bfloat16 is known to numpy.
            given = given.detach().cpu().double()
        try:
            # Neither texts nor complex numbers are taken for scores.
            scores = np.asarray(given).astype(np.float64, casting="same_kind")
        except (TypeError, ValueError) as error:
            said = f"{self.name}.score_batch gave a {kind} that is no array of numbers"
            raise ModelError(f"{said}: {describe(error)}") from error
        if scores.shape != (len(pieces), len(_COLUMNS)):
            wanted = f"for {len(pieces)} pieces it must be {(len(pieces), len(_COLUMNS))}"
            wrong = ModelError(f"{self.name}.score_batch gave a {kind} of shape {scores.shape}", hint=wanted)
            if scores.shape[1:] == (len(_COLUMNS),):
                raise wrong
            # Asked for fewer, what is turned round would look right.
            return [str(wrong)] * len(pieces)
        return [dict(zip(_COLUMNS, map(float, row))) for row in scores]


def _incomplete(name: str, lacking: Sequence[str]) -> Incomplete:
    hint = "a reward model has sr and score_batch(inputs, batch_size, max_dur, **kwargs)"
    return Incomplete(f"{name} has no {' and no '.join(lacking)}", hint=hint)
