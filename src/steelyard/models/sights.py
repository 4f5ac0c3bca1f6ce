"""A batch of requests with pictures, ready for the network: opened, laid out, what is wrong with any noted.

Rows are fed together where they can be: a picture that the processor refuses fails its own request
alone, and rows without pictures are parted from the others where a processor takes no both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from steelyard.errors import describe
from steelyard.media.images import Image
from steelyard.models.base import Listener
from steelyard.models.parameters import Sampling
from steelyard.models.pictures import Gallery
from steelyard.models.processors import Seer


@dataclass(frozen=True, slots=True)
class Shown:
    """A request as text with the marks of its pictures: to be continued, or with choices to be scored."""

    text: str
    special: bool
    images: tuple[Image, ...]
    size: int
    sampling: Sampling | None = None
    choices: Sequence[Sequence[int]] = ()
    listener: Listener | None = None
    identity: object = field(default_factory=object)
    """The same in all copies of it."""

    def passes(self) -> Iterator[tuple[int, ...]]:
        """Which choices are scored in one row each: those of one token together, any other alone."""
        short = tuple(place for place, choice in enumerate(self.choices) if len(choice) == 1)
        if short or not self.choices:
            yield short
        yield from ((place,) for place, choice in enumerate(self.choices) if len(choice) > 1)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of what the network is fed: the place of its request, its pictures, the choices behind it."""

    place: int
    shown: Shown
    pictures: Sequence[Any]
    choices: tuple[int, ...]

    @property
    def kind(self) -> Any:
        """Rows of equal kind may be fed together."""
        sampling = self.shown.sampling
        if sampling is None:
            return (self.shown.special, "scored")
        if not sampling.others:
            return (self.shown.special, "continued")
        alone = not sampling.greedy or sampling.others.get("do_sample")
        return (self.shown.special, repr(sampling), self.place if alone else None)


@dataclass(frozen=True, slots=True)
class Group:
    """What the network is fed for some rows; of each its request's place, its choices, its tokens."""

    places: Sequence[int]
    choices: Sequence[tuple[int, ...]]
    prompts: Sequence[list[int]]
    inputs: dict[str, Any]


@dataclass(slots=True)
class Sight:
    """A batch ready for the network, and what is wrong with requests by their places."""

    groups: list[Group] = field(default_factory=list)
    failures: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Eyes:
    """What opens pictures and lays them out for a model of a name and so many positions."""

    name: str
    seer: Seer
    gallery: Gallery
    positions: int | None

    def look(self, shown: Sequence[Shown]) -> Sight:
        """Open all pictures, and lay out what can be fed together."""
        sight = Sight()
        opened = iter(self.gallery.open([image for one in shown for image in one.images]))
        kinds: dict[Any, list[Row]] = {}
        for place, one in enumerate(shown):
            pictures = [next(opened) for _ in one.images]
            wrong = next((picture for picture in pictures if isinstance(picture, str)), None)
            if wrong is not None:
                sight.failures[place] = wrong
                continue
            for choices in one.passes():
                row = Row(place, one, pictures, choices)
                kinds.setdefault(row.kind, []).append(row)
        for rows in kinds.values():
            # Choices make several rows of a request: no more of them at a time than of requests.
            for begin in range(0, len(rows), len(shown)):
                self._lay_out(rows[begin : begin + len(shown)], sight)
        return sight

    def _lay_out(self, rows: Sequence[Row], sight: Sight) -> None:
        """Make a group of rows; where the processor fails, groups of fewer."""
        texts, pictures = [row.shown.text for row in rows], [row.pictures for row in rows]
        try:
            inputs = self.seer.feed(texts, pictures, special=rows[0].shown.special)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - a foreign processor; the request fails, not the run
            if len(rows) == 1:
                blind = "" if rows[0].pictures else f"{self.name} needs an image: "
                sight.failures[rows[0].place] = blind + describe(error)
                return
            self._part(rows, sight)
            return
        masks = inputs["attention_mask"].bool()
        prompts = [ids[mask].tolist() for ids, mask in zip(inputs["input_ids"], masks)]
        if any(row.pictures for row in rows) and not all(map(self._is_itself, rows, prompts)):
            self._part(rows, sight)
            return
        fitting = [row for row, prompt in zip(rows, prompts) if self._fits(row, len(prompt), sight)]
        if len(fitting) == len(rows):
            choices = [row.choices for row in rows]
            sight.groups.append(Group([row.place for row in rows], choices, prompts, inputs))
        elif fitting:
            self._lay_out(fitting, sight)

    def _part(self, rows: Sequence[Row], sight: Sight) -> None:
        """Lay rows out apart: those with pictures and those without, or else one half and the other."""
        parts = [[row for row in rows if row.pictures], [row for row in rows if not row.pictures]]
        if not all(parts):
            parts = [list(rows[: len(rows) // 2]), list(rows[len(rows) // 2 :])]
        for part in parts:
            self._lay_out(part, sight)

    def _is_itself(self, row: Row, prompt: list[int]) -> bool:
        """Whether a row without pictures is what it is alone: some processors write into all rows."""
        return bool(row.pictures) or prompt == self.seer.tokens(row.shown.text, special=row.shown.special)

    def _fits(self, row: Row, length: int, sight: Sight) -> bool:
        """Whether there are positions enough; if not, that is noted."""
        length += max((len(row.shown.choices[choice]) - 1 for choice in row.choices), default=1)
        if self.positions is None or length <= self.positions:
            return True
        hint = " (max_pixels= makes images smaller)" if row.pictures else ""
        told = f"the prompt needs {length} tokens, {self.name} has {self.positions} positions{hint}"
        sight.failures[row.place] = told
        return False
