"""What a run spent: its model's load, the run itself, and each of its answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steelyard.metrics.estimates import quantile
from steelyard.report.contents import Contents
from steelyard.report.model_spending import tell_model
from steelyard.report.tables import Cell, Figure, Table

_POINTS = {"median": 0.5, "p90": 0.9, "p99": 0.99, "most": 1.0}
_LABELS = {"median": "median", "p90": "90 %", "p99": "99 %", "most": "longest"}

COLUMNS = ("load s", "idle MiB", "peak MiB", "GPU MiB", "J", "wall s", "CPU s", "CPU ms each",
           "latency ms", "first piece ms", "tokens/s each", "answers/s", "sound s/s", "tokens/s",
           "tokens in", "tokens out", "price")  # fmt: skip


@dataclass(frozen=True)
class Spending:
    """The figures of one run; None is what nobody measured.

    `load` and `cost` are those of loading the model and of all sittings of the run. Of single answers
    `latency`, `ttft` and `pace` (tokens a second) are told by their median, percentiles and most;
    `cpu_each` and `joules_each` are means. The answers a second are those that did not fail. `tokens`
    are those of the answers that were asked and counted; `price` is what they cost, in the currency of
    the table it is from. What a cache knew was not spent again. `model` is what the model says that it
    spent, by what it was spent on; `sound_per_second` is how many seconds of sound it heard in one.
    """

    load: Mapping[str, Any] | None
    cost: Mapping[str, Any] | None
    latency: Mapping[str, float] | None
    ttft: Mapping[str, float] | None
    pace: Mapping[str, float] | None
    cpu_each: float | None
    joules_each: float | None
    answers_per_second: float | None
    tokens_per_second: float | None
    tokens: Mapping[str, int] | None
    uncounted: int
    price: float | None
    currency: str | None
    model: Mapping[str, Any] | None = None
    sound_per_second: float | None = None


def spending_of(contents: Contents) -> Spending:
    """What a run spent."""
    about, measured = contents.run.about, contents.measured
    cost = _total(about.get("cost") or [])
    # A sitting that was killed left no cost: then nobody knows how long all the answers took.
    wall = cost["wall"] if cost and cost["answers"] >= contents.answers else 0.0
    good = contents.answers - contents.failed - contents.known
    tokens, heard = contents.tokens, (about.get("spent") or {}).get("audio_seconds")
    return Spending(
        load=about.get("load"),
        cost=cost,
        latency=_spread(contents.latency),
        ttft=_spread(contents.ttft),
        pace=_spread(contents.pace),
        cpu_each=contents.cpu / measured if measured else None,
        joules_each=contents.joules / measured if measured and contents.joules else None,
        answers_per_second=good / wall if wall and good else None,
        tokens_per_second=tokens["output"] / wall if wall and tokens["output"] else None,
        tokens=dict(tokens) if contents.counted else None,
        uncounted=contents.answers - contents.known - contents.counted,
        price=_price_of(contents),
        currency=contents.price.currency if contents.price else None,
        model=about.get("spent") or None,
        sound_per_second=heard / wall if wall and heard else None,
    )


def _price_of(contents: Contents) -> float | None:
    """What the counted answers cost; nothing where a cache knew them all, None where nobody knows."""
    if contents.price is None or (not contents.counted and contents.known < contents.answers):
        return None
    return contents.price.cost(contents.tokens)


def tell_times(contents: Contents) -> Iterator[tuple[str, str]]:
    """The times and tokens of the answers, each with its name."""
    spent = spending_of(contents)
    for name, spread in (("latency", spent.latency), ("first piece", spent.ttft)):
        if spread:
            yield name, " · ".join(f"{_LABELS[point]} {seconds(value)}" for point, value in spread.items())
    if spent.pace:
        yield "writing", f"median {rate(spent.pace['median'])} tokens a second in an answer"
    for name, kind, part, said in (
        ("tokens in", "input", "cached", "the service had cached"),
        ("tokens out", "output", "reasoning", "were reasoning"),
    ):
        if spent.tokens and (count := spent.tokens[kind]):
            of_them = f", of which {spent.tokens[part]:,} {said}" if spent.tokens.get(part) else ""
            yield name, f"{count:,} ({count / contents.counted:,.1f} an answer{of_them})"
    if spent.tokens and spent.uncounted:
        yield "tokens unknown", f"of {_answers(spent.uncounted)}"
    rates = (("answers", spent.answers_per_second), ("tokens", spent.tokens_per_second))
    if told := [f"{rate(value)} {name} a second" for name, value in rates if value]:
        yield "rate", ", ".join(told)


def tell_cost(contents: Contents) -> Iterator[tuple[str, str]]:
    """What the load, the run and its answers cost, each with its name."""
    spent = spending_of(contents)
    if spent.price is not None:
        unknown = f", without {_answers(spent.uncounted)} of unknown length" if spent.uncounted else ""
        yield "price", f"{money(spent.price)} {spent.currency}{unknown}"
    elif spent.currency is not None:
        yield "price", "unknown: the model counts no tokens"
    if contents.run.about.get("elsewhere"):
        yield "counted", "this process alone: the model computes in others"
    if spent.load:
        yield "loading the model", ", ".join(f"{name} {value}" for name, value in facts_of(spent.load))
    if spent.cost is None:
        return
    yield from facts_of(spent.cost)
    if 0 < spent.cost["answers"] < contents.answers:
        yield "of these", f"{_answers(spent.cost['answers'])}: a sitting that was killed left no cost"
    if spent.cpu_each is not None:
        yield "CPU an answer", seconds(spent.cpu_each)
    if spent.joules_each is not None:
        yield "GPU energy an answer", joules(spent.joules_each)
    if spent.cost["sittings"] > 1:
        yield "sittings", str(spent.cost["sittings"])
    if spent.model:
        yield from tell_model(spent.model, spent.sound_per_second)


def facts_of(cost: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """One cost in words: what nobody could measure is left out."""
    for name, key, unit in (
        ("wall", "wall", seconds),
        ("CPU", "cpu", seconds),
        ("memory before", "rss_idle_bytes", size),
        ("memory peak", "rss_peak_bytes", size),
        ("GPU memory peak", "gpu_peak_bytes", size),
        ("GPU energy", "gpu_energy_joules", joules),
    ):
        if cost.get(key) is not None:
            yield name, unit(cost[key])


def tabulate_spending(columns: Sequence[str], named: Sequence[tuple[Sequence[str], Contents]]) -> Table:
    """A row a run; columns that no run has a figure for are left out."""
    spent = [spending_of(contents) for _, contents in named]
    rows = [_row(one) for one in spent]
    currencies = {one.currency for one in spent if one.price is not None}
    columns_of_spending = (*COLUMNS[:-1], *currencies) if len(currencies) == 1 else COLUMNS
    if len(currencies) > 1:
        rows = [[*row[:-1], _priced(one)] for row, one in zip(rows, spent)]
    used = [n for n in range(len(COLUMNS)) if any(row[n] is not None for row in rows)]
    cells = [[*names, *(row[n] for n in used)] for (names, _), row in zip(named, rows)]
    return Table((*columns, *(str(columns_of_spending[n]) for n in used)), cells)


def seconds(value: float) -> str:
    """A duration in the unit it is best read in."""
    if value < 0.001:
        return f"{value * 1e6:.0f} µs"
    if value < 1:
        return f"{value * 1e3:.3g} ms"
    return f"{value:.3g} s" if value < 100 else f"{value:,.0f} s"


def size(count: float) -> str:
    """Bytes in the unit they are best read in."""
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def joules(energy: float) -> str:
    """An energy."""
    return f"{energy:,.0f} J" if energy >= 10 else f"{energy:.2g} J"


def money(value: float) -> str:
    """An amount, with as many digits as it takes to see a little one."""
    return f"{value:,.2f}" if value >= 1 else f"{value:.3g}"


def rate(value: float) -> str:
    """How many in a second."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _row(spent: Spending) -> list[Cell]:
    load, cost = spent.load or {}, spent.cost or {}
    figures = [
        _figure(load.get("wall"), 2),
        _figure(cost.get("rss_idle_bytes"), 0, 2**-20),
        _figure(cost.get("rss_peak_bytes"), 0, 2**-20),
        _figure(cost.get("gpu_peak_bytes"), 0, 2**-20),
        _figure(cost.get("gpu_energy_joules"), 0),
        _figure(cost.get("wall"), 2),
        _figure(cost.get("cpu"), 2),
        _figure(spent.cpu_each, 1, 1000),
        _figure((spent.latency or {}).get("median"), 1, 1000),
        _figure((spent.ttft or {}).get("median"), 1, 1000),
        _figure((spent.pace or {}).get("median"), 0),
        _figure(spent.answers_per_second, 1),
        _figure(spent.sound_per_second, 1),
        _figure(spent.tokens_per_second, 0),
        _figure((spent.tokens or {}).get("input"), 0),
        _figure((spent.tokens or {}).get("output"), 0),
        _figure(spent.price, 4),
    ]
    return list(figures)


def _answers(count: int) -> str:
    return f"{count:,} answer{'' if count == 1 else 's'}"


def _figure(value: float | None, decimals: int, factor: float = 1.0) -> Cell:
    return None if value is None else Figure(value * factor, decimals)


def _priced(spent: Spending) -> Cell:
    return None if spent.price is None else f"{money(spent.price)} {spent.currency}"


def _spread(column: Sequence[float]) -> dict[str, float] | None:
    ordered = sorted(column)
    return {name: quantile(ordered, share) for name, share in _POINTS.items()} if ordered else None


def _total(costs: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """All sittings of a run: what was spent is added up, of memory the most counts."""
    if not costs:
        return None
    answers = sum(cost.get("answers", 0) for cost in costs)
    total: dict[str, Any] = {"sittings": len(costs), "answers": answers}
    for key, together in (
        ("wall", sum),
        ("cpu", sum),
        ("rss_idle_bytes", max),
        ("rss_peak_bytes", max),
        ("gpu_peak_bytes", max),
        ("gpu_energy_joules", sum),
    ):
        known = [cost[key] for cost in costs if cost.get(key) is not None]
        total[key] = together(known) if known else None
    return total
