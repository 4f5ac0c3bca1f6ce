"""Which request begins with which shared prefix, so that the share of known ones is as asked.

    prefixes = Prefixes(8, hit_rate=0.9, seed=1)
    prefixes.choose(0)      Known(number=0, seen=False)     the first has seen nothing
    prefixes.choose(7)      Known(number=0, seen=True)

Of every hundred requests exactly as many bring a new prefix as the rate says, at places chosen by seed;
the others take one of those that were new last. So the rate holds however many requests there are,
and which prefix a request has can be told without those before it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any, NamedTuple

from steelyard.errors import UsageError
from steelyard.workloads.lengths import read_lengths
from steelyard.workloads.sources import draw

_BLOCK = 100


class Known(NamedTuple):
    """A prefix by its number, and whether an earlier request had it already (None where that is chance)."""

    number: int
    seen: bool | None


class Prefixes:
    """Chooses the prefix of each request, by its number."""

    def __init__(
        self, groups: int, *, hit_rate: float | None = None, popularity: str = "uniform", seed: int = 0
    ) -> None:
        if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
            raise UsageError(
                f"groups is {groups!r}", hint="how many prefixes there are at a time, at least 1"
            )
        if hit_rate is not None and not 0 <= hit_rate <= 1:
            raise UsageError(f"hit_rate is {hit_rate}", hint="a share, between 0 and 1")
        self._groups, self._rate, self._popularity, self._seed = groups, hit_rate, popularity, seed
        self._ranks = None
        if popularity.startswith("zipf:"):
            self._ranks = read_lengths(f"{popularity}:1:{groups}", name="popularity")
        elif popularity != "uniform":
            raise UsageError(f"popularity={popularity}", hint="uniform, or zipf:1.2")
        self._kept: tuple[int, list[int]] = (-1, [])

    def identity(self) -> Mapping[str, Any]:
        """What shapes the choice."""
        return {"groups": self._groups, "hit_rate": self._rate, "popularity": self._popularity}

    def choose(self, number: int) -> Known:
        """The prefix of the request of this number."""
        if self._rate is None:
            return Known(self._rank(number, self._groups), None)
        block, place = divmod(number, _BLOCK)
        new = self._new_in(block)
        brought = self._before(block) + bisect_left(new, place)
        if place in new:
            return Known(brought, False)
        # The last is the most popular.
        return Known(brought - 1 - self._rank(number, min(self._groups, brought)), True)

    def _before(self, block: int) -> int:
        """How many new prefixes there were before a block."""
        if not block:
            return 0
        # The very first request can know nothing, whatever the rate.
        return max(1, math.ceil(round(block * _BLOCK * (1 - (self._rate or 0.0)), 6)))

    def _new_in(self, block: int) -> list[int]:
        """The places in a block at which a new prefix is brought."""
        if self._kept[0] != block:
            wanted = self._before(block + 1) - self._before(block)
            places = sorted(draw(self._seed, "new", block).sample(range(_BLOCK), wanted))
            if not block:
                places[0] = 0
            self._kept = (block, places)
        return self._kept[1]

    def _rank(self, number: int, most: int) -> int:
        chance = draw(self._seed, "rank", number)
        if self._ranks is None:
            return chance.randrange(most)
        while (rank := int(self._ranks.draw(chance)) - 1) >= most:
            pass
        return rank
