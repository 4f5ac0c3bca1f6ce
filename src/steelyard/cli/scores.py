"""`steelyard score`: the stored answers of a run scored anew, without its model."""

from __future__ import annotations

from argparse import Namespace

from steelyard.cli.pairs import read_pairs
from steelyard.cli.reports import as_document, describe_run
from steelyard.cli.screen import show, show_json
from steelyard.errors import UsageError
from steelyard.evaluation import rescore
from steelyard.metrics.extraction import extractor
from steelyard.report.contents import read_contents
from steelyard.report.load_contents import is_load
from steelyard.store import Run
from steelyard.tasks.references import open_metric


def run(options: Namespace) -> int:
    """Score and show; 1 where the run is not complete."""
    if is_load(Run.open(options.run)):
        hint = "load --check-answers TASK scores answers under load"
        raise UsageError(f"{options.run} is a load run, whose answers are not scored anew", hint=hint)
    metrics = [open_metric((ref, read_pairs(given))) for ref, *given in options.metric]
    rule = getattr(options, "extract", "none")
    scored = rescore(options.run, metrics, extract=None if rule == "none" else extractor(rule))
    contents = read_contents(scored)
    if getattr(options, "json", False):
        show_json({"runs": [as_document(contents)]})
    else:
        show(describe_run(contents))
    return 0 if contents.complete else 1
