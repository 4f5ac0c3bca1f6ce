"""`steelyard eval`: every model asked every task, one table."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from steelyard.albums import KEPT
from steelyard.cli.reports import as_document, describe_all, describe_run, write_page
from steelyard.cli.screen import show, show_json
from steelyard.cli.series import Series, stored_options
from steelyard.errors import UsageError
from steelyard.report.contents import Contents, fields_of, read_contents, stored_results
from steelyard.store import Run

# What a run is not: where it goes, how it is shown, how fast it goes.
_NOT_STORED = ("verb", "home", "debug", "out", "resume", "retry_failed", "by", "html", "json", "quiet",
               "deadline", "max_failures", "on_error", "check_independence", "prices")  # fmt: skip
# Up to here the times of the answers are worth reading the records once more; those of a service always are.
_SOON_READ = 20_000


def run(options: Namespace) -> int:
    """Evaluate, show the results, and return 1 unless all was answered and scored."""
    now = {**vars(options), **_failures_allowed(options)}
    asked = {name: value for name, value in now.items() if name not in _NOT_STORED}
    resume: Path | None = now.get("resume")
    if resume is None and now.get("retry_failed"):
        raise UsageError("--retry-failed goes with --resume", hint="name the run: --resume DIR")
    if resume is not None and "out" in now:
        raise UsageError("--out and --resume name two folders", hint="a resumed run stays where it is")
    if resume is not None:
        stored = stored_options(resume)
        if stored is None and not asked:
            raise UsageError(f"{resume} is not a run", hint="it has no run.json")
        asked = {**(stored or {}), **asked}
    if not asked.get("model"):
        raise UsageError("no model is named", hint="--model embedded; steelyard list models shows them")
    keep = KEPT if "html" in now else 0
    runs = Series(asked, now).run_all()
    found = [_contents(run, now.get("by"), keep, whole="prices" in now) for run in runs]
    if now.get("json"):
        show_json({"runs": [as_document(contents) for contents in found]})
    elif len(found) == 1:
        show(describe_run(found[0]))
    else:
        show(describe_all(found))
    if "html" in now:
        write_page(now["html"], found)
    return 0 if all(contents.complete for contents in found) else 1


def _failures_allowed(options: Namespace) -> dict[str, float]:
    """How many questions may fail, where it is said in a word."""
    word = getattr(options, "on_error", None)
    if word is None:
        return {}
    if hasattr(options, "max_failures"):
        raise UsageError("--on-error and --max-failures say the same", hint="give one of them")
    return {"max_failures": 0 if word == "stop" else math.inf}


def _contents(run: Run, by: Sequence[str] | None, keep: int, *, whole: bool) -> Contents:
    """What is shown of a run; many records are read again only where its results do not tell all."""
    results, answers = stored_results(run), run.about["answers"]
    fields = fields_of(run) if by is None else by
    odd = any(result.failed or result.undefined for result in results)
    asked = run.about.get("elsewhere") or run.about.get("cache")
    if fields or keep or odd or whole or asked or not results or answers <= _SOON_READ:
        return read_contents(run, by=by, keep=keep)
    return Contents(run, results, answers=answers)
