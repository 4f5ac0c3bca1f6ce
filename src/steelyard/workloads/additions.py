"""What any workload can be given beside its own: adapters, answers of exact length, pictures, sounds, …

open_workload("sharegpt", data="chats.json", adapters="math,poems", exact_output=True)

adapters=a,b,c                  each session asks one of these models; adapter_weights=zipf:1.1 says how
                                often each (round-robin else), adapter_key=adapter_id where TGI is asked
exact_output=true               answers end at their length and not before: ignore_eos and min_tokens
output=normal:200:50            how long answers may be, where the workload does not say itself
think=exponential:2             how many seconds a user takes before each later turn
params={"temperature": 0}       parameters that go with every request
images=2 image_size=1024x768    pictures in the first turn of each session, made, or of a folder
audio=1 audio_seconds=5         sounds likewise
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

from steelyard.errors import UsageError
from steelyard.workloads.adapters import read_adapters
from steelyard.workloads.attachments import read_audio, read_images
from steelyard.workloads.base import Session, Turn, Workload, take_share
from steelyard.workloads.lengths import read_lengths
from steelyard.workloads.sources import draw


class Addition(NamedTuple):
    """A change to sessions by their number, and what makes it this change."""

    change: Callable[[int, Session], Session]
    identity: Mapping[str, Any]


class Added:
    """A workload with additions."""

    options: ClassVar[Sequence[str]] = (
        "adapters", "adapter_weights", "adapter_key", "exact_output", "output", "think", "params",
        "images", "image_size", "image_count", "audio", "audio_seconds", "audio_count",
    )  # fmt: skip

    def __init__(self, inner: Workload, additions: Sequence[Addition]) -> None:
        self._inner, self._additions = inner, additions
        self.name = inner.name
        self.remarks: Sequence[str] = getattr(inner, "remarks", ())

    def identity(self) -> Mapping[str, Any]:
        """The workload's, and what is added."""
        added: dict[str, Any] = {}
        for addition in self._additions:
            added.update(addition.identity)
        return {**self._inner.identity(), "added": added}

    def size(self) -> int | None:
        """How many sessions there are, where that is cheap to know."""
        size = getattr(self._inner, "size", None)
        return size() if callable(size) else None

    @property
    def skipped(self) -> int:
        """How many rows were passed over."""
        return getattr(self._inner, "skipped", 0)

    def __iter__(self) -> Iterator[Session]:
        """The sessions, from the first."""
        return self.share(0, 1)

    def share(self, first: int, every: int) -> Iterator[Session]:
        """Every so many-th session."""
        for place, session in enumerate(take_share(self._inner, first, every)):
            changed = session
            for addition in self._additions:
                changed = addition.change(first + place * every, changed)
            yield changed

    def __repr__(self) -> str:
        return f"<{self.name} with {', '.join(name for one in self._additions for name in one.identity)}>"


def read_additions(options: dict[str, Any], *, seed: int, chat: bool = False) -> list[Addition]:
    """What the options add; they are taken out of them. With `chat` texts become turns."""
    given = {name: options.pop(name) for name in Added.options if name in options}
    options.pop("seed", None)
    found = [Addition(_begin_chat, {"chat": True})] if chat else []
    if (params := given.get("params")) is not None:
        found.append(_add_params(params))
    if (output := given.get("output")) is not None:
        found.append(_add_output(output, seed))
    if (think := given.get("think")) is not None:
        found.append(_add_think(think, seed))
    images = {name: given[name] for name in ("images", "image_size", "image_count") if name in given}
    if images:
        found.append(Addition(*read_images(**images, seed=seed)))
    audio = {name: given[name] for name in ("audio", "audio_seconds", "audio_count") if name in given}
    if audio:
        found.append(Addition(*read_audio(**audio, seed=seed)))
    adapters = {n.removeprefix("adapter_"): given[n] for n in Added.options[:3] if n in given}
    if adapters:
        found.append(Addition(*read_adapters(**adapters, seed=seed)))
    # The last: it wants to know how long each answer is to be.
    if given.get("exact_output"):
        found.append(Addition(_end_exactly, {"exact_output": True}))
    return found


def _add_params(params: Any) -> Addition:
    if not isinstance(params, Mapping):
        raise UsageError(f"params={params!r}", hint='an object, {"temperature": 0}')

    def change(number: int, session: Session) -> Session:
        return change_turns(session, lambda turn, place: replace(turn, params={**params, **turn.params}))

    return Addition(change, {"params": dict(params)})


def _add_output(output: Any, seed: int) -> Addition:
    lengths = read_lengths(output, name="output")

    def change(number: int, session: Session) -> Session:
        chance = draw(seed, "output", number)
        return change_turns(session, lambda turn, place: replace(turn, max_tokens=int(lengths.draw(chance))))

    return Addition(change, {"output": lengths.identity()})


def _add_think(think: Any, seed: int) -> Addition:
    lengths = read_lengths(think, name="think", least=0, whole=False)

    def change(number: int, session: Session) -> Session:
        chance = draw(seed, "think", number)
        return change_turns(
            session, lambda turn, place: replace(turn, think=float(lengths.draw(chance))) if place else turn
        )

    return Addition(change, {"think": lengths.identity()})


def _begin_chat(number: int, session: Session) -> Session:
    first, *others = session.turns
    if not isinstance(first.prompt, str):
        return session
    asked = replace(first, prompt=[{"role": "user", "content": first.prompt}])
    return replace(session, turns=[asked, *others])


def _end_exactly(number: int, session: Session) -> Session:
    def change(turn: Turn, place: int) -> Turn:
        if turn.max_tokens is None:
            raise UsageError(
                f"exact_output: session {session.id} does not say how long its answers are",
                hint="output=128 does for all",
            )
        exact = {"ignore_eos": True, "min_tokens": turn.max_tokens}
        return replace(turn, params={**turn.params, **exact})

    return change_turns(session, change)


def change_turns(session: Session, change: Callable[[Turn, int], Turn]) -> Session:
    """A session with each of its turns changed."""
    return replace(session, turns=[change(turn, place) for place, turn in enumerate(session.turns)])
