"""One request of a load run, or those of one session: when everything happened, and what was said if kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from steelyard.cli.screen import printable
from steelyard.errors import UsageError
from steelyard.report.load_contents import read_load
from steelyard.report.load_exports import FIELDS, list_rows, plain_column
from steelyard.report.samples import turns_of
from steelyard.report.spending import seconds
from steelyard.store import Run
from steelyard.types import Record

_FROM_START = ("due", "sent", "first_byte", "first_token", "last_token", "done")
_LASTING = ("lag", "held", "connecting", "ttft", "tpot", "e2el")


def find_requests(run: Run, name: str) -> list[dict[str, Any]]:
    """The rows of the requests of a sample, or of a session, in the order in which they were due."""
    found, contents = [], read_load(run)
    for block in chain(list_rows(contents, warmups=True), list_rows(contents)):
        wanted = [n for n, pair in enumerate(zip(block["id"], block["session"])) if name in pair]
        columns = {field: plain_column(field, block[field]) for field in FIELDS} if wanted else {}
        found += [{field: columns[field][n] for field in FIELDS} for n in wanted]
    if not found:
        hint = "the first column of what report --rows FILE writes names them"
        raise UsageError(f"{run.path} has no request {name!r}", hint=hint)
    return sorted(found, key=lambda row: row["due"] or 0.0)


def describe_requests(run: Run, name: str) -> Iterator[str]:
    """Each request, with its prompt and its answer where they were kept."""
    found = find_requests(run, name)
    wanted = {row["id"] for row in found}
    kept = [record for record in run.records() if record.sample.id in wanted and record.request.prompt]
    for row in found:
        yield "\n".join(_describe(row))
    for record in kept:
        yield "\n".join(_describe_texts(record))


def _describe(row: Mapping[str, Any]) -> Iterator[str]:
    session = f" of session {row['session']}" if row["session"] is not None else ""
    yield printable(f"request {row['id']}, turn {row['turn'] + 1}{session}, in the stage {row['stage']}")
    if row["error"] is not None:
        yield printable(f"  failed: {row['error']}")
    for name in _FROM_START:
        if row[name] is not None:
            since = f"  +{seconds(row[name] - row['sent'])}" if name not in ("due", "sent") else ""
            yield f"  {name.replace('_', ' '):<12}  {row[name]:.6f} s{since}"
    for name in _LASTING:
        if row[name]:
            yield f"  {name:<12}  {seconds(row[name])}"
    for name, way in (("input_", "in"), ("", "out")):
        if (count := row[f"tokens_{way}"]) is not None:
            yield f"  tokens {way:<5}  {count:,}, counted by {row[f'{name}counted_by']}"
    yield f"  token events  {row['events']:,}"
    yield f"  times         taken by {row['taken_by']}, in process {row['worker'] + 1}"


def _describe_texts(record: Record) -> Iterator[str]:
    for turn in turns_of(record.request.prompt):
        yield f"prompt, {turn.role}" if turn.role else "prompt"
        yield from (f"  {line}" for line in printable(turn.text).splitlines())
    yield "answer"
    yield from (f"  {line}" for line in printable(record.response.text).splitlines())
