"""A leaderboard as one self-contained page: sorted by any column, with the samples and their sounds beside
what each model said of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from steelyard.report.contents import Contents
from steelyard.report.documents import fill_document
from steelyard.report.leaderboard import Leaderboard, Standing, tell_legend
from steelyard.report.leaderboard_forms import count_of, decimals, interval_of, tell_beside, tell_gaps
from steelyard.report.rankings import name_models, name_tasks
from steelyard.report.samples import asked_of, chosen_of, score_text, turns_of, value_text
from steelyard.report.sounds import Clips, SoundFinder
from steelyard.report.tables import Figure, clean
from steelyard.types import Record

_SHOWN = 200
_LONGEST = 3000
_EXCERPT = 120
_FILTERS = (("all", "all samples"), ("far", "furthest from people"), ("failed", "failed"))


def draw_leaderboard(board: Leaderboard, found: Sequence[Contents] = ()) -> str:
    """The page; of the runs that were read with records to keep, these are shown too."""
    clips = Clips()
    samples = list(_samples(found, clips))
    states = {state for sample in samples for state in sample["states"].split()} | {"all"}
    return fill_document(
        "leaderboard.html",
        styles=["page.css", "leaderboard.css"],
        scripts=["leaderboard.js", "page.js", "sounds.js"],
        heard=bool(clips.encoded),
        title=board.title or "leaderboard",
        board=_board(board),
        samples=samples,
        filters=[(value, label) for value, label in _FILTERS if value in states],
        remarks=list(clips.remarks()),
        unshown=_count_unshown(found, len(samples)),
        encoded=clips.encoded,
    )


def _board(board: Leaderboard) -> dict[str, Any]:
    parts = board.parts()
    firsts = {places[0] for _, places in parts}
    axes = [_reach(board.down(place)) for place in range(len(board.columns))]
    return {
        "notes": [clean(note) for note in board.notes],
        "count": len(board.columns),
        "named": any(name for name, _ in parts),
        "parts": [(clean(name), len(places)) for name, places in parts],
        "columns": [
            {
                "metric": clean(column.metric),
                "lower": column.lower_is_better,
                "n": f"{count_of(board, place):,}",
                "first": place in firsts,
            }
            for place, column in enumerate(board.columns)
        ],
        "rows": [
            (
                clean(model),
                [
                    _cell(board, place, one, axes[place], first=place in firsts)
                    for place, one in enumerate(standings)
                ],
            )
            for model, standings in zip(board.models, board.rows)
        ],
        "legend": list(tell_legend(board)),
        "gaps": [clean(line) for line in tell_gaps(board)],
    }


def _cell(
    board: Leaderboard, place: int, one: Standing, axis: tuple[float, float], *, first: bool
) -> dict[str, Any]:
    result, digits = one.result, decimals(board, place)
    low, high = axis
    found: dict[str, Any] = {
        "kind": " ".join(name for name, on in (("best", one.best), ("first", first)) if on),
        "value": str(Figure(one.value, digits)),
        "sort": "" if one.value is None else repr(one.value),
        "level": one.level,
        "interval": interval_of(one, digits),
        "beside": "",
        "told": "",
    }
    if result is None or result.value is None:
        return found
    if result.n != count_of(board, place):
        found["beside"] = f"n {result.n:,}"
    chance = [] if one.p is None else [f"p {Figure(one.p, 4)} against the best"]
    found["told"] = ", ".join([f"n {result.n:,}", *tell_beside(one), result.method, *chance])
    if result.low is not None and result.high is not None and high > low:
        scale = 100 / (high - low)
        for name, x in (("low", result.low), ("high", result.high), ("at", result.value)):
            found[name] = f"{(x - low) * scale:.2f}"
    else:
        found["interval"] = ""
    return found


def _reach(standings: Sequence[Standing]) -> tuple[float, float]:
    """From the lowest to the highest end of the intervals of a column."""
    results = [one.result for one in standings if one.result is not None]
    ends = [x for one in results for x in (one.low, one.high, one.value) if x is not None]
    return (min(ends), max(ends)) if ends else (0.0, 0.0)


def _samples(found: Sequence[Contents], clips: Clips) -> Iterator[dict[str, Any]]:
    """Each sample once, with what every model said of it: those first that one is the furthest off with."""
    names = list(zip(name_models(found), name_tasks(found), found))
    for task in dict.fromkeys(task for _, task, _ in names):
        runs = {model: contents for model, of, contents in names if of == task}
        kept = {m: {r.request.id: r for r in c.kept} for m, c in runs.items()}
        far = {
            m: {r.request.id: c.furthest[r.index] for r in c.kept if r.index in c.furthest}
            for m, c in runs.items()
        }
        shared = dict.fromkeys(name for records in kept.values() for name in records)
        chosen = sorted(shared, key=lambda name: not any(name in remarks for remarks in far.values()))[
            :_SHOWN
        ]
        # A sound that lies in no file lies in the run that the record is of.
        shown = {name: next(model for model, records in kept.items() if name in records) for name in chosen}
        finders = {model: SoundFinder(contents.run) for model, contents in runs.items()}
        for model, finder in finders.items():
            clips.add(finder, [kept[model][name] for name in chosen if shown[name] == model])
        for name, model in shown.items():
            answers = {other: records.get(name) for other, records in kept.items()}
            remarks = {other: remarks[name] for other, remarks in far.items() if name in remarks}
            record = kept[model][name]
            yield {**_sample(record, answers, remarks), "sounds": clips.of(finders[model], record)}


def _count_unshown(found: Sequence[Contents], shown: int) -> str:
    """How many samples have no room on the page; nothing where all are there."""
    asked: dict[str, int] = {}
    for task, contents in zip(name_tasks(found), found):
        asked[task] = max(asked.get(task, 0), contents.answers)
    left = sum(asked.values()) - shown
    return f"{left:,}" if left > 0 else ""


def _sample(
    record: Record, answers: Mapping[str, Record | None], remarks: Mapping[str, str]
) -> dict[str, Any]:
    failed = sum(one is not None and one.response.error is not None for one in answers.values())
    # Words, and the statistics of metrics over a whole set, would fill the page.
    metrics = dict.fromkeys(
        metric
        for one in answers.values()
        if one is not None
        for metric, score in one.scores.items()
        if isinstance(score, (bool, int, float))
    )
    target = "" if record.sample.target is None else _cut(_plain(record.sample.target), _EXCERPT)
    turns = turns_of(record.request.prompt, named=False)
    return {
        "id": record.request.id,
        "states": " ".join([*(["failed"] if failed else []), *(["far"] if remarks else [])]) or "other",
        "asked": _cut(" ".join(asked_of(record).split()), _EXCERPT),
        "target": target,
        "verdict": f"{failed} failed" if failed else "far off" if remarks else "",
        "tone": "bad" if failed else "",
        "turns": [{"role": turn.role, "text": _cut(turn.text, _LONGEST)} for turn in turns],
        "remarks": [f"{clean(model)}: {text}" for model, text in remarks.items()],
        "head": ["model", "said", *metrics],
        "rows": [[clean(model), *_answer(one, list(metrics))] for model, one in answers.items()],
    }


def _answer(record: Record | None, metrics: Sequence[str]) -> list[str]:
    """What a model said of a sample, and what each metric says of that."""
    if record is None:
        return ["–"] * (1 + len(metrics))
    response = record.response
    said = response.error or response.text or chosen_of(record)
    scores = [score_text(record.scores[name]) if name in record.scores else "–" for name in metrics]
    return [_cut(" ".join(said.split()), 2 * _EXCERPT), *scores]


def _plain(target: Any) -> str:
    """What is right, in a line: of a mapping its names and values."""
    if isinstance(target, Mapping):
        return ", ".join(f"{name} {value_text(value)}" for name, value in target.items() if value is not None)
    return value_text(target)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "…"
