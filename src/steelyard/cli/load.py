"""`steelyard load`: how a model performs under a load, in tables, on a page, as rows."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from steelyard.cli.pairs import read_pairs
from steelyard.cli.screen import printable, show, show_json, tell
from steelyard.cli.stages import read_stages
from steelyard.errors import UsageError
from steelyard.loadtest.running import load
from steelyard.models.references import open_model
from steelyard.workloads.references import open_workload

# What a run is not: where it goes and how it is shown.
_NOT_STORED = ("verb", "home", "debug", "out", "resume", "html", "json", "csv", "parquet", "push", "quiet",
               "workers", "scrape")  # fmt: skip


def run(options: Namespace) -> int:
    """Measure, show what came out, and return 1 where requests failed or an objective was missed."""
    now = vars(options)
    asked: dict[str, Any] = {name: value for name, value in now.items() if name not in _NOT_STORED}
    if "model" not in asked:
        raise UsageError("no model is named", hint="--model http://localhost:8000/v1")
    ref, *words = asked["model"]
    model = open_model(ref, **read_pairs(words))
    for remark in model.remarks:
        tell(printable(remark))
    named, *words = asked.get("workload", ["synthetic"])
    workload = open_workload(named, **read_pairs(words))
    try:
        stored = load(model, workload, stages=read_stages(asked), out=now.get("out"), about=_about(asked))
    finally:
        model.close()
    show_json(stored.about["results"])
    show(f"stored in {stored.path}")
    return 0


def _about(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {"options": dict(asked)}
