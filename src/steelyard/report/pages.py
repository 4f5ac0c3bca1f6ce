"""One self-contained HTML page of runs or of comparisons: no network, nothing from outside is run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from steelyard.metrics.extraction import Extractor
from steelyard.metrics.summary import Result
from steelyard.report.asking import tell_asking
from steelyard.report.comparison import Measured, Pairing
from steelyard.report.contents import Contents, known_extractor, known_metrics, title_of
from steelyard.report.documents import fill_document
from steelyard.report.doubts import doubt_run
from steelyard.report.judgement_charts import draw_judgements
from steelyard.report.overview import Overview
from steelyard.report.pictures import Finder, Thumbnails
from steelyard.report.samples import (
    asked_of,
    chosen_of,
    extraction_of,
    figures_of,
    marked,
    score_text,
    tabulate_choices,
    tabulate_verdicts,
    tell_failure,
    turns_of,
    value_text,
)
from steelyard.report.scores import EXTRACTION, NO_ANSWER, by_metric, numbers_of
from steelyard.report.sounds import Clips, SoundFinder
from steelyard.report.spending import size, tell_cost, tell_times
from steelyard.report.tables import Figure, decimals_of
from steelyard.report.verdicts import doubt_pairing, tell_verdicts
from steelyard.types import Record

_LONGEST = 6000
_EXCERPT = 120
_FILTERS = {
    "all": "all samples",
    "wrong": "not right",
    "right": "right",
    "none": "no answer taken out",
    "failed": "failed",
    "far": "furthest from people",
}


def draw_page(found: Sequence[Contents]) -> str:
    """The page of one or several runs."""
    thumbnails, clips = Thumbnails(), Clips()
    runs = [_view(contents, thumbnails, clips) for contents in found]
    title = " | ".join(contents.title for contents in found)
    return _draw(title, runs=runs, overview=_overview(found), pictures=thumbnails, clips=clips)


def draw_comparison(pairings: Sequence[Pairing]) -> str:
    """The page of one or several comparisons."""
    return _draw("comparison", pairings=[_pairing(pairing) for pairing in pairings])


def _draw(
    title: str,
    *,
    runs: Sequence[Any] = (),
    overview: Any = None,
    pictures: Thumbnails | None = None,
    clips: Clips | None = None,
    pairings: Sequence[Any] = (),
) -> str:
    encoded = clips.encoded if clips is not None else []
    return fill_document(
        "page.html",
        styles=["page.css", "charts.css"],
        scripts=["page.js", "sounds.js"],
        drawn=pictures.style() if pictures is not None else "",
        heard=bool(encoded),
        encoded=encoded,
        title=title,
        runs=runs,
        overview=overview,
        pairings=pairings,
    )


def _overview(found: Sequence[Contents]) -> dict[str, Any] | None:
    """Several runs side by side."""
    if len(found) < 2:
        return None
    overview = Overview(found)
    named = list(zip(overview.names, found))
    return {
        "columns": overview.columns,
        "scores": [(names, _score(result)) for names, c in named for result in numbers_of(c.results)],
        "by": [
            (
                field,
                [
                    (names, _score(result, value))
                    for names, c in named
                    for value, result in by_metric(c.by.get(field, {}))
                ],
            )
            for field in overview.fields()
        ],
        "spending": overview.spending().shown(),
        "texts": len(overview.columns),
        "prompts": overview.prompts(),
    }


def _view(contents: Contents, thumbnails: Thumbnails, clips: Clips) -> dict[str, Any]:
    about = contents.run.about
    finder, sounds = Finder(contents.run), SoundFinder(contents.run)
    before = thumbnails.left_out
    extract, metrics = known_extractor(contents.run), known_metrics(contents.run)
    numbers = numbers_of(contents.results)
    first = next((result.metric for result in numbers), None)
    thumbnails.add(finder, contents.kept)
    # Those that are the furthest off are heard first, should there be no room for all.
    clips.add(sounds, sorted(contents.kept, key=lambda record: record.index not in contents.furthest))
    samples = [
        {
            **_sample(record, extract, first, finder, thumbnails, far=record.index in contents.furthest),
            "failure": tell_failure(record, metrics),
            "sounds": clips.of(sounds, record),
            "far": contents.furthest.get(record.index, ""),
        }
        for record in contents.kept
    ]
    states = {state for sample in samples for state in sample["states"].split()}
    verdict = "complete" if contents.complete else "not complete"
    return {
        "task": about.get("task", "task"),
        "prompt": about.get("prompt") or "",
        "data": about.get("data") or "",
        "model": about.get("model", "model"),
        "path": str(contents.run.path),
        "created": str(about.get("created", ""))[:16].replace("T", " "),
        "verdict": f"{contents.answers:,} answers, {verdict}",
        "tone": "good" if contents.complete else "bad",
        "notes": doubt_run(contents),
        "scores": [((), _score(result)) for result in numbers],
        "asking": list(tell_asking(contents)),
        "by": [
            (field, [((), _score(result, value)) for value, result in by_metric(parts)])
            for field, parts in contents.by.items()
        ],
        "labels": list(_labels(contents.results)),
        "reasons": _shares(dict(contents.reasons.most_common(10)), bad=tuple(contents.reasons)),
        "times": list(tell_times(contents)),
        "cost": list(tell_cost(contents)),
        "samples": samples,
        "unheard": list(clips.remarks()),
        "charts": list(draw_judgements(contents.judged)),
        "unpictured": thumbnails.left_out - before,
        "filters": [(v, text) for v, text in _FILTERS.items() if v == "all" or v in states],
        "unshown": f"{contents.answers - len(samples):,}" if contents.answers > len(samples) else "",
        "environment": list(_environment(about.get("environment", {}))),
        "command": _command(about),
        "identity": json.dumps(about.get("identity", {}), indent=2, ensure_ascii=False),
    }


def _score(result: Result, part: str = "") -> dict[str, Any]:
    digits = decimals_of(result.value, result.stderr)
    return {
        "part": part,
        "metric": result.metric,
        "value": str(Figure(result.value, digits)),
        "stderr": str(Figure(result.stderr, digits)) if result.stderr is not None else "",
        "n": f"{result.n:,}",
        "failed": f"{result.failed:,}",
        "answered": str(Figure(result.answered, digits)),
        "method": result.method,
        "bar": _bar(result.value, result.low, result.high, digits=digits),
    }


def _bar(
    value: float | None, low: float | None, high: float | None, *, digits: int, around_zero: bool = False
) -> dict[str, Any] | None:
    """An interval as places from left to right, in percent; shares stand on the line from 0 to 1."""
    if value is None or low is None or high is None:
        return None
    start, end = min(0.0, low, value), max(0.0, high, value)
    if not around_zero and -1 <= start < 0 and end <= 1:
        # As correlations lie, so that several can be seen beside each other.
        start, end = -1.0, 1.0
    elif around_zero or start < 0:
        end = max(-start, end) * 1.15 or 1.0
        start = -end
    else:
        end = 1.0 if end <= 1 else end * 1.1
    scale = 100 / (end - start)
    places = {n: f"{(x - start) * scale:.2f}" for n, x in (("low", low), ("high", high), ("value", value))}
    shown = f"{Figure(value, digits)}, from {Figure(low, digits)} to {Figure(high, digits)}"
    zero = f"{-start * scale:.2f}" if start < 0 else None
    return {**places, "zero": zero, "label": shown, "left": f"{start:.3g}", "right": f"{end:.3g}"}


def _labels(results: Sequence[Result]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for result in results:
        if result.labels:
            title = "How answers were found" if result.metric == EXTRACTION else f"Labels: {result.metric}"
            bad = NO_ANSWER if result.metric == EXTRACTION else ()
            yield title, _shares(result.labels, bad=bad)


def _shares(counts: Mapping[str, int], *, bad: Sequence[str] = ()) -> list[dict[str, Any]]:
    total = sum(counts.values()) or 1
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    return [
        {"label": label, "count": f"{n:,}", "share": f"{100 * n / total:.1f}", "none": label in bad}
        for label, n in ordered
    ]


def _environment(environment: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in environment.items():
        if name == "memory_bytes":
            yield "memory", size(value) if value else "unknown"
        elif value:
            plain = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
            yield name, ", ".join(map(str, plain)) if isinstance(plain, list) else str(plain)


def _command(about: Mapping[str, Any]) -> str:
    flags = about.get("command")
    return shlex.join(map(str, flags)) if isinstance(flags, list) else ""


def _sample(
    record: Record,
    extract: Extractor | None,
    first: str | None,
    finder: Finder,
    thumbnails: Thumbnails,
    *,
    far: bool,
) -> dict[str, Any]:
    response, target = record.response, record.sample.target
    found = extraction_of(record, extract)
    # The statistics of a metric over a whole set say nothing to a reader.
    scores = [(k, score_text(v)) for k, v in record.scores.items() if not isinstance(v, (list, tuple))]
    states, verdict, tone = _states(record, first)
    turns = [(turn.role, _cut(turn.text)) for turn in turns_of(record.request.prompt, finder, named=False)]
    said = tabulate_verdicts(record)
    answer = "" if response.error is not None else response.text
    return {
        "id": record.request.id,
        "states": f"{states} far" if far else states,
        "verdict": verdict,
        "tone": tone,
        "asked": _excerpt(asked_of(record)),
        "answered": _excerpt(response.error or _told(answer, found) or chosen_of(record)),
        "pictures": thumbnails.of(finder, record),
        "turns": [{"role": role, "text": text} for role, text in turns],
        "said": said or tabulate_choices(record),
        "target": None if target is None or said else _cut(value_text(target)),
        "error": response.error,
        "pieces": [(_cut(piece), taken) for piece, taken in marked(answer, found)] if answer else [],
        "rule": record.scores.get(EXTRACTION) or "",
        "scores": [(name, value) for name, value in scores if name != EXTRACTION],
        "figures": figures_of(response),
    }


def _told(answer: str, found: Any) -> str:
    """The part of an answer that a line has room for: what was taken out of it, else its beginning."""
    return answer if found is None or found.value is None else str(found.value)


def _states(record: Record, first: str | None) -> tuple[str, str, str]:
    """What a sample can be filtered by, its verdict in a word and the tone of it."""
    if record.response.error is not None:
        return "failed", "failed", "bad"
    states = ["none"] if record.scores.get(EXTRACTION) in NO_ANSWER else []
    score = record.scores.get(first) if first is not None else None
    if not isinstance(score, (bool, int, float)):
        return " ".join(states) or "other", "–", ""
    states.append("right" if score >= 1 else "wrong")
    if isinstance(score, bool):
        return " ".join(states), "right" if score else "wrong", "good" if score else "bad"
    return " ".join(states), f"{score:.3g}", ""


def _cut(text: str) -> str:
    more = len(text) - _LONGEST
    return text if more <= 0 else f"{text[:_LONGEST]}… ({more:,} characters more)"


def _excerpt(text: str) -> str:
    line = " ".join(text[: 4 * _EXCERPT].split())
    return line if len(line) <= _EXCERPT else line[:_EXCERPT] + "…"


def _pairing(pairing: Pairing) -> dict[str, Any]:
    base, other = pairing.base, pairing.other
    return {
        "base": title_of(base),
        "other": title_of(other),
        "base_path": str(base.path),
        "other_path": str(other.path),
        "common": f"{pairing.common:,}",
        "doubts": list(doubt_pairing(pairing)),
        "rows": [_difference(measured) for measured in pairing.measured],
        "words": list(tell_verdicts(pairing)),
        "changed": "\n".join(pairing.changed),
    }


def _difference(measured: Measured) -> dict[str, Any]:
    one = measured.comparison
    digits = decimals_of(one.difference, one.stderr)
    return {
        "metric": measured.name,
        "before": str(Figure(one.before, digits)),
        "after": str(Figure(one.after, digits)),
        "difference": ("+" if one.difference > 0 else "") + str(Figure(one.difference, digits)),
        "p": str(Figure(one.adjusted, 4)),
        "verdict": one.verdict,
        "test": one.test,
        "bar": _bar(one.difference, one.low, one.high, digits=digits, around_zero=True),
    }
