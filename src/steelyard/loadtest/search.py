"""The highest rate, or concurrency, that keeps given objectives.

    search = Search(stage, objectives, what="rate", low=1.0, look=…)
    while (stage := search(results)) is not None: …        what `load` does with its `stages`
    search.outcome(results).value

Levels are doubled until one is missed, then halved between; whoever is undecided where it matters is asked
again, for twice as long. What comes next is a function of what was measured so far, so that a search that
was stopped goes on from its stored stages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from steelyard.errors import UsageError
from steelyard.loadtest.evidence import Evidence, Judgement, judge
from steelyard.loadtest.plan import Stage
from steelyard.loadtest.sweep import at_level, name_level

LONGEST = 16
"""How many times as long as its first look a level is looked at, at most, before it cannot be told."""

_LEAST = 1 / 1024
_MOST_LOOKS = 80
_HOPELESS = 0.25
_MOST_SPOILED = 2
"""How often a client may be late at a level before it is the limit; once may be a hiccup of the machine."""
_MOST_SPOILED_LOOKS = 6
"""How often it may be late at all before nothing more is asked."""

Steps = Generator[Stage, "Look", "Outcome"]


@dataclass(frozen=True, slots=True)
class Look:
    """What one stage said: evidence for each objective; `spoiled` says why none of it counts."""

    evidence: Sequence[Evidence]
    spoiled: str | None = None


@dataclass
class Level:
    """All that is known of one level: "kept" and "missed" are sure, "open" is not.

    Of one that is "spoiled" nothing can be known, for the client cannot do it.
    """

    value: float
    looks: list[int] = field(default_factory=list)
    length: float = 0.0
    verdict: str = "open"
    leaning: bool = False
    spoiled: int = 0
    judgements: Sequence[Judgement] = ()

    @property
    def is_up(self) -> bool:
        """Whether it is kept, as far as it looks."""
        return self.verdict == "kept" or (self.verdict == "open" and self.leaning)

    def to_dict(self) -> dict[str, Any]:
        """As it is stored."""
        plain = {"value": self.value, "verdict": self.verdict, "leaning": self.leaning, "stages": self.looks}
        return {**plain, "objectives": [asdict(one) for one in self.judgements]}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search found: `value` was measured, and keeps all objectives with the confidence asked for.

    `missed` is the lowest level above that surely does not; `open_` those between that cannot be told.
    `ended` says why the search stopped before it was done.
    """

    what: str
    confidence: float
    value: float | None
    missed: float | None
    open_: Sequence[float]
    levels: Sequence[Level]
    ended: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As it is stored."""
        plain = {"what": self.what, "confidence": self.confidence, "value": self.value, "missed": self.missed}
        levels = [level.to_dict() for level in self.levels]
        return {**plain, "open": list(self.open_), "ended": self.ended, "said": str(self), "levels": levels}

    def __str__(self) -> str:
        def at(value: float) -> str:
            return name_level(self.what, value)

        said = f"no {self.what} was shown to keep all objectives"
        if self.value is not None:
            said = f"all objectives are kept at {at(self.value)} ({self.confidence:.0%} sure)"
        if self.missed is not None:
            said += f"; at {at(self.missed)} they are not"
        if len(self.open_) > 1:
            said += f"; from {at(min(self.open_))} to {at(max(self.open_))} it cannot be told"
        elif self.open_:
            said += f"; at {at(self.open_[0])} it cannot be told"
        return f"{said}; {self.ended}" if self.ended else said


class Search:
    """Says which stage comes next from what the stages before have shown."""

    def __init__(
        self,
        stage: Stage,
        *,
        look: Callable[[int], Look],
        what: str = "rate",
        low: float = 1.0,
        high: float | None = None,
        tolerance: float = 0.05,
        confidence: float = 0.95,
        longest: int = LONGEST,
    ) -> None:
        """`stage` is asked at each level, first for as long as it says; `look` reads the n-th stage.

        The search ends when what is kept and what is missed lie within `tolerance` of each other.
        """
        if what not in ("rate", "concurrency"):
            raise UsageError(f"there is no search for a {what}", hint="rate or concurrency")
        if not 0 < tolerance < 1 or not 0.5 <= confidence < 1 or longest < 1:
            hint = "tolerance between 0 and 1, confidence between 0.5 and 1, longest at least 1"
            raise UsageError("a search cannot be done like this", hint=hint)
        if not low > 0 or (high is not None and not high > low):
            raise UsageError(f"a search cannot go from {low:g} to {high or 0:g}", hint="rate=1:100")
        if stage.requests is None and stage.duration is None:
            raise UsageError("nothing says how long a level is measured", hint="a duration, or requests")
        self.stage, self.what = stage, what
        self.low, self.high = self._round(low), None if high is None else self._round(high)
        self.tolerance, self.confidence, self.longest = tolerance, confidence, longest
        self._look = look
        # Each doubling is one more chance to be wrong.
        self._alpha = (1 - confidence) / (1 + math.ceil(math.log2(longest)))
        self._levels: dict[float, Level] = {}
        self._looks: dict[int, Look] = {}
        self._judged: dict[tuple[int, ...], tuple[list[Judgement], bool]] = {}
        self._asked = self._late = 0
        self._limit: tuple[float, str] | None = None

    def __call__(self, results: Sequence[Any]) -> Stage | None:
        """The next stage; None when the search is done."""
        return self._replay(len(results))[0]

    def outcome(self, results: Sequence[Any]) -> Outcome:
        """What was found, or is known so far."""
        _, found = self._replay(len(results))
        return found or self._conclude("it was stopped")

    def _replay(self, count: int) -> tuple[Stage | None, Outcome | None]:
        self._levels, self._asked, self._late, self._limit = {}, 0, 0, None
        steps = self._steps()
        try:
            stage = next(steps)
            for number in range(count):
                if number not in self._looks:
                    self._looks[number] = self._look(number)
                stage = steps.send(self._looks[number])
        except StopIteration as done:
            return None, done.value
        return stage, None

    def _steps(self) -> Steps:
        value: float | None = self.low
        while value is not None:
            if self._asked == _MOST_LOOKS:
                return self._conclude(f"it was ended after {_MOST_LOOKS} stages")
            level = self._levels.setdefault(value, Level(value))
            look = yield self._stage_of(level)
            self._asked += 1
            if look.spoiled is not None:
                level.spoiled += 1
                self._late += 1
                if level.spoiled == _MOST_SPOILED:
                    level.verdict = "spoiled"
                    if self._limit is None or value < self._limit[0]:
                        self._limit = value, look.spoiled
                    value = None if self._late >= _MOST_SPOILED_LOOKS else self._next()
                continue
            level.looks.append(self._asked - 1)
            level.length += 2.0 ** max(len(level.looks) - 2, 0)
            self._decide(level)
            value = self._next()
        return self._conclude(None)

    def _stage_of(self, level: Level) -> Stage:
        stage, again = self.stage, len(level.looks) + level.spoiled
        longer = 2 ** max(len(level.looks) - 1, 0)
        name = name_level(self.what, level.value) + (f", look {again + 1}" if again else "")
        return replace(
            stage,
            name=name,
            requests=None if stage.requests is None else stage.requests * longer,
            duration=None if stage.duration is None else stage.duration * longer,
            # The same arrivals again would say the same again.
            seed=stage.seed + self._asked,
            **at_level(stage, self.what, level.value),
        )

    def _decide(self, level: Level) -> None:
        key = tuple(level.looks)
        if key not in self._judged:
            several = list(zip(*(self._looks[number].evidence for number in key)))
            found = [judge(one, alpha=self._alpha) for one in several]
            # All must be kept, but each of them might be missed by chance.
            against = [judge(one, alpha=self._alpha / len(several)).verdict for one in several]
            self._judged[key] = found, "missed" in against
        level.judgements, missed = self._judged[key]
        level.leaning = all(one.kept and not one.grows for one in level.judgements)
        if missed:
            level.verdict = "missed"
        elif all(one.verdict == "kept" for one in level.judgements):
            level.verdict = "kept"

    def _next(self) -> float | None:
        """The level to look at; None when all is said."""
        below, above = self._bounds()
        if above is None and below is not None:
            if self.high is None or below.value < self.high:
                return self._round(min(below.value * 2, self.high or math.inf))
        elif below is None and above is not None:
            if self._may_be_told(above) and len(above.looks) < 2:
                return above.value
            down = self._round(above.value / 2)
            if above.value > down >= self.low * _LEAST and down > 0:
                return down
        elif below is not None and above is not None and self._are_apart(below, above):
            return self._round(math.sqrt(below.value * above.value))
        for level in (below, above):
            if level is not None and self._may_be_told(level):
                return level.value
        return self._prove(below)

    def _prove(self, below: Level | None) -> float | None:
        """A level lower down, where the one that looks kept cannot be shown to be; by ever longer steps."""
        if below is None or below.verdict == "kept":
            return None
        shown = max((level.value for level in self._levels.values() if level.verdict == "kept"), default=0.0)
        for steps in (1, 2, 4, 8):
            value = self._round(below.value / (1 + self.tolerance) ** steps, down=True)
            if value <= shown or value < self.low:
                return None
            level = self._levels.get(value)
            if level is None or self._may_be_told(level):
                return value
        return None

    def _bounds(self) -> tuple[Level | None, Level | None]:
        """The highest level that is kept, and the lowest above it that is missed, as far as it looks."""
        levels = sorted(self._levels.values(), key=lambda level: level.value)
        surely = max((level.value for level in levels if level.verdict == "kept"), default=0.0)
        never = min(
            (level.value for level in levels if level.verdict in ("missed", "spoiled")), default=math.inf
        )
        above = next(
            (level for level in levels if level.value >= never or (not level.is_up and level.value > surely)),
            None,
        )
        below = [level for level in levels if level.is_up and (above is None or level.value < above.value)]
        return (below[-1] if below else None), above

    def _are_apart(self, below: Level, above: Level) -> bool:
        if self.what == "concurrency" and above.value - below.value <= 1:
            return False
        middle = self._round(math.sqrt(below.value * above.value))
        apart = above.value > below.value * (1 + self.tolerance)
        return apart and middle not in (below.value, above.value)

    def _may_be_told(self, level: Level) -> bool:
        """Whether looking longer at an undecided level is allowed, and may decide it."""
        if level.verdict != "open" or level.length * 2 > self.longest:
            return False
        undecided = [one for one in level.judgements if one.verdict != "kept"]
        if any(one.n * self.longest / level.length < self._need(one) for one in undecided if one.value == 0):
            return False
        # How much of their width intervals keep when all the time that is left is used.
        left = math.sqrt(level.length / self.longest)
        return len(level.looks) < 3 or not any(_is_hopeless(one, left) for one in undecided)

    def _need(self, one: Judgement) -> int:
        """How many requests it takes to tell that an objective is kept, if none breaks its limit."""
        return math.ceil(math.log(self._alpha) / math.log1p(-one.allowed)) if 0 < one.allowed < 1 else 0

    def _round(self, value: float, *, down: bool = False) -> float:
        if self.what == "concurrency":
            return float(max(1, math.floor(value) if down else round(value)))
        return float(f"{value:.3g}")

    def _conclude(self, ended: str | None) -> Outcome:
        levels = sorted(self._levels.values(), key=lambda level: level.value)
        never = min((level.value for level in levels if level.verdict == "missed"), default=None)
        kept = [
            level.value
            for level in levels
            if level.verdict == "kept" and (never is None or level.value < never)
        ]
        value = max(kept, default=None)
        between = [
            level.value
            for level in levels
            if level.verdict == "open"
            and (value is None or level.value > value)
            and (never is None or level.value < never)
        ]
        if ended is None and self._limit is not None and self._limit[0] < (never or math.inf):
            ended = f"ended at {name_level(self.what, self._limit[0])}: {self._limit[1]}"
        if value is None and ended is None and between:
            ended = self._say_need([one for level in between for one in self._levels[level].judgements])
        return Outcome(self.what, self.confidence, value, never, between, levels, ended)

    def _say_need(self, judgements: Sequence[Judgement]) -> str | None:
        """What it would take to tell, where there were too few requests even if none broke a limit."""
        few = [one for one in judgements if one.verdict == "open" and one.n < self._need(one)]
        if not few:
            return None
        most = max(few, key=self._need)
        return (
            f"to tell {most.objective} takes {self._need(most):,} requests a level: measure each for longer"
        )


def _is_hopeless(one: Judgement, left: float) -> bool:
    """Whether a value lies so near its limit that no narrower interval will tell them apart."""
    if not one.value or one.low is None or one.high is None:
        return False
    return abs(one.value - one.allowed) < _HOPELESS * left * (one.high - one.low) / 2
