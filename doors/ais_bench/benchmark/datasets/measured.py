"""Data sets without right answers, for load tests: prompts that are made, traces, conversations.

dict(abbr="synthetic", type=SyntheticDataset, config={"Type": "string", "RequestCount": 10, …})
dict(abbr="synthetic", workload="synthetic", config=…)      the same, in the engine's words
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ais_bench.benchmark.datasets.readers import BaseDataset
from ais_bench.benchmark.datasets.rows import name_of
from ais_bench.benchmark.openicl.icl_evaluator import BaseEvaluator


class SyntheticDataset(BaseDataset):
    """Prompts that are made, so long as its configuration says."""


class MooncakeTraceDataset(BaseDataset):
    """Recorded requests: when each came, how long it was, and what it shared with others."""


class ShareGPTDataset(BaseDataset):
    """Conversations, asked turn by turn."""


class MTBenchDataset(BaseDataset):
    """Questions of two turns."""


class SyntheticEvaluator(BaseEvaluator):
    """Scores nothing: configurations name it."""


WORKLOADS = {
    "SyntheticDataset": "synthetic",
    "MooncakeTraceDataset": "mooncake",
    "ShareGPTDataset": "sharegpt",
    "MTBenchDataset": "mtbench",
}
"""What these classes are called among the engine's workloads."""


def is_measured(entry: Mapping[str, Any]) -> bool:
    """Whether an entry names a workload, which can only be measured."""
    return "workload" in entry or name_of(entry.get("type", "")) in WORKLOADS
