"""How often the 95 % intervals hold the truth, and how often a comparison of equals cries difference.

    python benchmarks/uncertainty.py            about eight minutes on one core
    python benchmarks/uncertainty.py --scale 5  five times as many draws

Intervals should hold the truth 94 to 96 times in 100; a comparison of two runs that are equally
good should say "better" or "worse" 4 to 6 times in 100. What lies outside is marked.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from steelyard.metrics.correlations import Correlation, musicality_ktau, musicality_lcc, musicality_srcc
from steelyard.metrics.estimates import (
    Estimate,
    estimate_corpus,
    estimate_mean,
    estimate_proportion,
    estimate_worth,
)
from steelyard.metrics.labels import f1_macro
from steelyard.metrics.overlap import wer
from steelyard.metrics.paired import compare_statistics, compare_values

Draw = Callable[[np.random.Generator], Any]
_CORRELATIONS = (musicality_srcc, musicality_lcc, musicality_ktau)


class Row(NamedTuple):
    """One line of the table: a share of draws, and how many draws it is of (0: computed exactly)."""

    kind: str
    what: str
    share: float
    draws: int


def cover(estimates: Iterator[Estimate], truth: float) -> tuple[float, int]:
    """The share of intervals that hold the truth, and their number."""
    held = [estimate.low is not None and estimate.low <= truth <= estimate.high for estimate in estimates]
    return sum(held) / len(held), len(held)


def cover_passes(n: int, p: float) -> float:
    """The exact coverage of the interval for n samples that each pass with probability p."""
    share = 0.0
    for passed in range(n + 1):
        found = estimate_proportion(passed, n)
        if found.low <= p <= found.high:
            ways = math.lgamma(n + 1) - math.lgamma(passed + 1) - math.lgamma(n - passed + 1)
            share += math.exp(ways + passed * math.log(p) + (n - passed) * math.log1p(-p))
    return share


def draw_clusters(
    rng: np.random.Generator, sizes: list[int], *, passes: bool
) -> tuple[list[float], list[int]]:
    """Values in groups that move together; passes have probability one half overall."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    shared, own = rng.standard_normal(len(sizes))[groups], rng.standard_normal(len(groups))
    mixed = math.sqrt(0.4) * shared + math.sqrt(0.6) * own
    values = (mixed > 0).astype(float) if passes else mixed
    return values.tolist(), groups.tolist()


def passes_rows() -> Iterator[Row]:
    """Pass or fail: Wilson's interval, computed exactly.

    For one p the coverage of any such interval jumps up and down with n, because only whole samples
    pass; for few samples what can be right is the mean over p.
    """
    for n in (20, 50, 100, 200):
        between = [cover_passes(n, p) for p in np.linspace(0.05, 0.95, 181)]
        yield Row(
            "interval", f"pass/fail, n={n}, mean over p from 0.05 to 0.95", sum(between) / len(between), 0
        )
    for n in (300, 1000, 5000):
        for p in (0.1, 0.3, 0.5, 0.8, 0.95):
            yield Row("interval", f"pass/fail, n={n}, p={p}", cover_passes(n, p), 0)


def numbers_rows(draws: int, rng: np.random.Generator) -> Iterator[Row]:
    """Numbers: symmetric, skewed, and the shape of an F1 score."""
    cases: list[tuple[str, float, Draw]] = [
        ("normal, n=20", 0.0, lambda r: r.standard_normal(20)),
        ("uniform, n=50", 0.5, lambda r: r.random(50)),
        ("exponential, n=50", 1.0, lambda r: r.exponential(size=50)),
        ("exponential, n=200", 1.0, lambda r: r.exponential(size=200)),
        ("log-normal, n=300", math.exp(0.5), lambda r: r.lognormal(size=300)),
        ("F1-like (0, 1 and between), n=100", 0.55, lambda r: _f1_like(r, 100)),
    ]
    for name, truth, draw in cases:
        share, n = cover((estimate_mean(draw(rng).tolist()) for _ in range(draws)), truth)
        yield Row("interval", f"numbers, {name}", share, n)


def clusters_rows(draws: int, rng: np.random.Generator) -> Iterator[Row]:
    """Groups of samples that move together."""
    shapes = {
        "20 groups of 5": [5] * 20,
        "50 groups of 4": [4] * 50,
        "40 groups of 1 to 10": [1 + n % 10 for n in range(40)],
    }
    for name, sizes in shapes.items():
        for passes, truth in ((False, 0.0), (True, 0.5)):
            found = (estimate_mean(*draw_clusters(rng, sizes, passes=passes)) for _ in range(draws))
            share, n = cover(found, truth)
            yield Row("interval", f"clustered {'pass/fail' if passes else 'numbers'}, {name}", share, n)


def corpus_rows(draws: int, rng: np.random.Generator) -> Iterator[Row]:
    """Metrics over a whole set: the bootstrap, and the jackknife of large sets."""
    truth = f1_macro.combine(_labelled(np.random.default_rng(1), 400_000))
    for method, n in (("percentile", 200), ("bca", 200), ("percentile", 2500)):
        times = draws if n == 200 else draws // 2
        found = (
            estimate_corpus(_labelled(rng, n), f1_macro.combine, method=method, seed=seed)
            for seed in range(times)
        )
        share, count = cover(found, truth)
        yield Row("interval", f"macro F1, n={n}, {method if n == 200 else 'jackknife'}", share, count)
    for n in (100,):
        found = (estimate_corpus(_edited(rng, n), wer.combine, seed=seed) for seed in range(draws))
        share, count = cover(found, 0.2)
        yield Row("interval", f"WER, n={n}, percentile", share, count)


def correlations_rows(draws: int, rng: np.random.Generator) -> Iterator[Row]:
    """Scores beside ratings from 1 to 5: the bootstrap, in groups too, near a perfect correlation too."""
    for metric in _CORRELATIONS:
        for n, rho in ((20, 0.5), (50, 0.5), (50, 0.9), (200, 0.98)):
            truth = metric.combine(_rated(np.random.default_rng(1), 100_000, rho)[:, :2])
            found = (_correlate(metric, _rated(rng, n, rho), seed=seed) for seed in range(draws))
            share, count = cover(found, truth)
            yield Row("interval", f"{metric.name}, n={n}, rho={rho}", share, count)
        groups = [place // 4 for place in range(200)]
        truth = metric.combine(_rated(np.random.default_rng(1), 100_000, 0.7, size=4)[:, :2])
        found = (
            _correlate(metric, _rated(rng, 200, 0.7, size=4), groups, seed=seed) for seed in range(draws)
        )
        share, count = cover(found, truth)
        yield Row("interval", f"{metric.name}, 50 groups of 4", share, count)


def worths_rows(draws: int, rng: np.random.Generator) -> Iterator[Row]:
    """What answers are worth where a tie counts half: the bootstrap, in groups too."""
    for n, shares in ((50, (0.3, 0.2, 0.5)), (200, (0.1, 0.1, 0.8)), (1000, (0.05, 0.05, 0.9))):
        truth = shares[1] / 2 + shares[2]
        drawn = (rng.choice([0.0, 0.5, 1.0], n, p=shares).tolist() for _ in range(draws))
        share, count = cover((estimate_worth(values) for values in drawn), truth)
        yield Row("interval", f"preferences, n={n}, {shares[1]:.0%} tied", share, count)
    sizes = [1 + n % 10 for n in range(60)]
    found = (estimate_worth(*draw_clusters(rng, sizes, passes=True)) for _ in range(draws))
    share, count = cover(found, 0.5)
    yield Row("interval", "preferences, 60 groups of 1 to 10", share, count)


def two_models_rows(draws: int, rng: np.random.Generator) -> Iterator[Row]:
    """Two models that go with the ratings equally well, on scales of their own."""
    for metric in _CORRELATIONS:
        for n, rho in ((50, 0.5), (200, 0.8)):
            alarms = held = 0
            for seed in range(draws):
                before = _rated(rng, n, rho)
                # From the same ratings before they were rounded.
                after = np.column_stack([before[:, 0], 10 * _scored(rng, before[:, 2], rho)])
                found = compare_statistics(
                    before[:, :2], after, combine=metric.combine, reweigh=metric.reweigh, seed=seed
                )
                alarms += found.verdict != "noise"
                held += found.low <= 0 <= found.high
            yield Row("false alarm", f"{metric.name}, n={n}, {found.test}", alarms / draws, draws)
            yield Row("interval", f"difference, {metric.name}, n={n}", held / draws, draws)


def differences_rows(draws: int, rng: np.random.Generator) -> Iterator[Row]:
    """Two equal runs: false alarms, and intervals of the difference (that should hold zero)."""
    cases: list[tuple[str, Draw]] = []
    for n, changed in ((50, 0.4), (100, 0.2), (200, 0.3), (1000, 0.1)):
        cases.append(
            (f"pass/fail, n={n}, {changed:.0%} change", lambda r, n=n, c=changed: _passes_pair(r, n, c))
        )
    cases += [
        ("numbers, normal, n=20", lambda r: (*r.standard_normal((2, 20)).tolist(), None)),
        ("numbers, exponential, n=100", lambda r: (*r.exponential(size=(2, 100)).tolist(), None)),
        ("numbers, F1-like, n=100", lambda r: (_f1_like(r, 100).tolist(), _f1_like(r, 100).tolist(), None)),
        ("clustered pass/fail, 40 groups of 1 to 10", _clustered_pair),
    ]
    for name, draw in cases:
        alarms = held = 0
        for _ in range(draws):
            before, after, groups = draw(rng)
            found = compare_values(before, after, groups=groups)
            alarms += found.verdict != "noise"
            held += found.low is not None and found.low <= 0 <= found.high
        yield Row("false alarm", name, alarms / draws, draws)
        yield Row("interval", f"difference, {name}", held / draws, draws)


def exchange_rows(draws: int, rng: np.random.Generator) -> Iterator[Row]:
    """Two equal runs by a metric over a whole set."""
    for n, times in ((60, draws), (2500, draws // 4)):
        alarms = held = 0
        for seed in range(times):
            before, after = _labelled_pair(rng, n)
            found = compare_statistics(before, after, combine=f1_macro.combine, seed=seed)
            alarms += found.verdict != "noise"
            held += found.low <= 0 <= found.high
        yield Row("false alarm", f"macro F1, n={n}, {found.test}", alarms / times, times)
        yield Row("interval", f"difference, macro F1, n={n}", held / times, times)


def make_table(scale: float, *, seed: int = 0) -> Iterator[Row]:
    """Every line, with draws in proportion to the scale."""
    rng = np.random.default_rng(seed)
    yield from passes_rows()
    yield from numbers_rows(int(20_000 * scale), rng)
    yield from clusters_rows(int(6_000 * scale), rng)
    yield from differences_rows(int(6_000 * scale), rng)
    yield from corpus_rows(int(1_000 * scale), rng)
    yield from exchange_rows(int(600 * scale), rng)
    yield from correlations_rows(int(1_000 * scale), rng)
    yield from worths_rows(int(6_000 * scale), rng)
    yield from two_models_rows(int(1_000 * scale), rng)


def is_good(row: Row) -> bool:
    """Whether a share is where it should be, given how many draws it is of."""
    wanted, slack = (0.95, 0.01) if row.kind == "interval" else (0.05, 0.01)
    noise = 2 * math.sqrt(0.05 * 0.95 / row.draws) if row.draws else 0.0
    return abs(row.share - wanted) <= slack + noise


def _f1_like(rng: np.random.Generator, n: int) -> np.ndarray:
    kind = rng.random(n)
    return np.where(kind < 0.25, 0.0, np.where(kind < 0.5, 1.0, rng.beta(3, 2, n)))


def _labelled(rng: np.random.Generator, n: int) -> list[tuple[str, str]]:
    targets = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    given = np.where(rng.random(n) < 0.7, targets, rng.choice(3, n))
    return [("abc"[target], "abc"[label]) for target, label in zip(targets, given)]


def _labelled_pair(rng: np.random.Generator, n: int) -> tuple[list[Any], list[Any]]:
    before = _labelled(rng, n)
    again = [(target, "abc"[rng.integers(3)] if rng.random() < 0.3 else target) for target, _ in before]
    return before, again


def _rated(rng: np.random.Generator, n: int, rho: float, *, size: int = 1) -> np.ndarray:
    """Ratings from 1 to 5, scores, and what was rated; groups of a size move together."""
    shared = np.repeat(rng.standard_normal(n // size), size) if size > 1 else np.zeros(n)
    held = 0.5 if size > 1 else 0.0
    felt = math.sqrt(held) * shared + math.sqrt(1 - held) * rng.standard_normal(n)
    return np.column_stack([np.clip(np.round(felt + 3), 1, 5), _scored(rng, felt, rho), felt])


def _scored(rng: np.random.Generator, felt: np.ndarray, rho: float) -> np.ndarray:
    return rho * felt + math.sqrt(1 - rho * rho) * rng.standard_normal(len(felt))


def _correlate(metric: Correlation, rows: np.ndarray, groups: Any = None, *, seed: int) -> Estimate:
    return estimate_corpus(
        rows[:, :2], metric.combine, reweigh=metric.reweigh, bound=metric.bound, groups=groups, seed=seed
    )


def _edited(rng: np.random.Generator, n: int) -> list[tuple[int, int]]:
    lengths = rng.integers(3, 30, n)
    return list(zip(rng.binomial(lengths, 0.2).tolist(), lengths.tolist()))


def _passes_pair(rng: np.random.Generator, n: int, changed: float) -> tuple[list[float], list[float], None]:
    before = (rng.random(n) < 0.5).astype(float)
    flipped = rng.random(n) < changed
    return before.tolist(), np.where(flipped, 1 - before, before).tolist(), None


def _clustered_pair(rng: np.random.Generator) -> tuple[list[float], list[float], list[int]]:
    sizes = [1 + n % 10 for n in range(40)]
    before, groups = draw_clusters(rng, sizes, passes=True)
    after, _ = draw_clusters(rng, sizes, passes=True)
    return before, after, groups


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=1.0)
    arguments = parser.parse_args()
    outside = 0
    for row in make_table(arguments.scale):
        good = is_good(row)
        outside += not good
        draws = f"{row.draws:>7,} draws" if row.draws else "        exact"
        print(
            f"{row.kind:<12} {row.what:<60} {100 * row.share:6.2f} %  {draws}  {'' if good else '<'}",
            flush=True,
        )
    print(f"{outside} outside")


if __name__ == "__main__":
    main()
