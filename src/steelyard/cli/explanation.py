"""`steelyard explain`: one sample whole, from the prompt as it was sent to what each metric said."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence

import msgspec

from steelyard.cli.screen import can_show, printable, show, show_json
from steelyard.metrics.base import Metric
from steelyard.metrics.extraction import Extractor
from steelyard.report.contents import known_extractor, known_metrics
from steelyard.report.load_contents import is_load
from steelyard.report.pictures import Finder
from steelyard.report.samples import (
    extraction_of,
    figures_of,
    find_records,
    marked,
    meanings,
    score_text,
    tabulate_verdicts,
    tell_failure,
    turns_of,
    value_text,
)
from steelyard.report.scores import EXTRACTION
from steelyard.report.sounds import SoundFinder
from steelyard.report.tables import Table
from steelyard.store import Run
from steelyard.types import Record

_INDENT = "  "


def run(options: Namespace) -> int:
    """Show the records of a sample."""
    stored = Run.open(options.run)
    if is_load(stored):
        # What reads the times of single requests comes with numpy.
        from steelyard.cli.lookup import describe_requests, find_requests

        if getattr(options, "json", False):
            show_json(find_requests(stored, options.id))
        else:
            show("\n\n".join(describe_requests(stored, options.id)))
        return 0
    found = find_records(stored, options.id)
    if getattr(options, "json", False):
        show_json([msgspec.to_builtins(record) for record in found])
        return 0
    metrics, extract = known_metrics(stored), known_extractor(stored)
    finders = Finder(stored), SoundFinder(stored)
    shown = ("\n".join(explain_record(record, extract, metrics, *finders)) for record in found)
    show("\n\n".join(shown))
    return 0


def explain_record(
    record: Record,
    extract: Extractor | None,
    metrics: Sequence[Metric],
    finder: Finder,
    sounds: SoundFinder,
) -> Iterator[str]:
    """One record, line by line; its pictures and sounds are looked for in the finders."""
    sample, response = record.sample, record.response
    yield f"sample {printable(sample.id)}" + (
        f", asked as {printable(record.request.id)}" if record.request.id != sample.id else ""
    )
    for turn in turns_of(record.request.prompt, finder, sounds):
        yield from _block(f"prompt, {turn.role}" if turn.role else "prompt", turn.text)
    if record.request.choices is not None:
        yield from _block("continuations that were compared", "\n".join(map(repr, record.request.choices)))
    if record.request.params:
        yield from _block("parameters", value_text(dict(record.request.params)))
    if sample.choices is not None:
        yield from _block("options", "\n".join(sample.choices))
    yield from _block("target", "(none)" if sample.target is None else value_text(sample.target))
    if response.error is not None:
        yield from _block(tell_failure(record, metrics), response.error)
    else:
        yield from _answer(record, extract)
    yield from _scores(record, meanings(metrics))
    if figures := figures_of(response):
        yield from _block("cost", ", ".join(f"{name} {value}" for name, value in figures))
    extra = {name: value for name, value in sample.meta.items() if value not in (sample.input, sample.target)}
    if extra:
        yield from _block("other columns", "\n".join(f"{k}: {value_text(v)}" for k, v in extra.items()))


def _answer(record: Record, extract: Extractor | None) -> Iterator[str]:
    text, rule = record.response.text, record.scores.get(EXTRACTION)
    found = extraction_of(record, extract)
    if text or record.response.scores is None:
        yield from _block("answer", "".join(_mark(p) if taken else p for p, taken in marked(text, found)))
    if verdicts := tabulate_verdicts(record):
        head, *rows = verdicts
        yield from _block("what it says", Table(head, rows).text())
    elif record.response.scores is not None:
        yield from _block("likelihoods or scores", value_text(record.response.scores))
    if found is not None and found.value is not None:
        yield from _block("taken out of it", f"{found.value!r} by the rule {found.rule!r}")
    elif rule is not None:
        what = "nothing could be" if rule in ("nothing", "ambiguous") else "something was"
        yield from _block("taken out of it", f"{what}: the rule is {rule!r}")


def _scores(record: Record, about: dict[str, str]) -> Iterator[str]:
    lines = []
    for name, score in record.scores.items():
        if name == EXTRACTION or (name.endswith(".error") and name[:-6] in record.scores):
            continue
        error = record.scores.get(f"{name}.error")
        means = about.get(name) or about.get(name.partition(".")[0], "")
        lines.append(
            f"{name} = {score_text(score)}"
            + (f" ({error})" if error else "")
            + (f"    {means}" if means else "")
        )
    if lines:
        yield from _block("scores", "\n".join(lines))


def _mark(piece: str) -> str:
    """What was taken out, set off on a terminal and in a file alike."""
    return f"⟦{piece}⟧" if can_show("⟦⟧", sys.stdout) else f"[[{piece}]]"


def _block(title: str, text: str) -> Iterator[str]:
    yield title
    for line in printable(text).splitlines() or [""]:
        yield _INDENT + line
