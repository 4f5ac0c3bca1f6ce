"""What a load test asks: a data set as a workload, or a workload that has a name of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ais_bench.benchmark.datasets.entries import open_set
from ais_bench.benchmark.datasets.measured import is_measured
from ais_bench.benchmark.datasets.merging import Batch, gather
from ais_bench.benchmark.performance.made import Made, read_made
from ais_bench.benchmark.performance.questions import Questions
from steelyard.models.base import Model
from steelyard.workloads.base import Workload


def gather_loads(entries: Sequence[Mapping[str, Any]], *, limit: int | None, merge: bool) -> list[Made]:
    """What all entries ask, data sets of one kind together where they are to be merged."""
    sets = [open_set(entry, limit=limit) for entry in entries if not is_measured(entry)]
    asked = [Made(batch.name, partial(_ask, batch)) for batch in gather(sets, merge=merge)]
    return [*asked, *(read_made(entry, limit=limit) for entry in entries if is_measured(entry))]


def _ask(batch: Batch, model: Model) -> Workload:
    return Questions(batch, model=model)
