"""Workloads that have a name of their own: prompts that are made, conversations, recorded traces.

dict(abbr="synthetic", workload="synthetic", config={"Type": "string", "RequestCount": 10, …})
dict(abbr="mine", workload="mooncake", path="trace.jsonl", options=dict(block=512))
dict(abbr="sharegpt", type=ShareGPTDataset, path="ais_bench/datasets/sharegpt/….json", …)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ais_bench.benchmark.datasets.measured import WORKLOADS
from ais_bench.benchmark.datasets.places import find_data
from ais_bench.benchmark.datasets.rows import name_of
from ais_bench.benchmark.models.counting import Counted, OwnCounts
from ais_bench.benchmark.models.rendering import Rendered
from ais_bench.benchmark.performance.synthetic import read_synthetic
from steelyard.errors import UnknownName, UsageError
from steelyard.models.base import Model
from steelyard.workloads.base import Workload
from steelyard.workloads.references import open_workload

_KEYS = ("abbr", "workload", "path", "files", "options", "config", "recorded")
_RECORDED = ("mooncake", "burstgpt", "azure")
_HISTORIES = {"every": "own", "last": "recorded", "every_with_gt": "recorded"}
_SETTINGS = ("type", "reader_cfg", "infer_cfg", "eval_cfg", "abbr", "path", "config", "disable_shuffle")
_RENAMED = {"random_seed": "seed", "num_prompts": "limit", "request_count": "limit"}


@dataclass(frozen=True)
class Made:
    """A workload of an entry, to be opened for the model that it is asked of."""

    name: str
    open: Callable[[Model], Workload]
    recorded: bool = False
    """Whether its questions say when they are due."""


def read_made(entry: Mapping[str, Any], *, limit: int | None = None) -> Made:
    """The workload that an entry names, of which only the first `limit` sessions are wanted."""
    name = str(entry["abbr"])
    ref = entry.get("workload") or WORKLOADS[name_of(entry["type"])]
    if "workload" in entry:
        for key in entry:
            if key not in _KEYS:
                raise UnknownName(f"field of the data set {name}", key, _KEYS)
        options = dict(entry.get("options") or {})
    else:
        options = _read_described(entry)
    if entry.get("path"):
        options["data"] = str(find_data(entry["path"], entry.get("files", "")))
    tokens = False
    if ref == "synthetic":
        made, tokens = read_synthetic(entry.get("config") or {}, name)
        options = {**made, **options}
    elif ref == "mtbench":
        # As with questions that are scored: the model says how long an answer may be.
        options.setdefault("output", None)
    if limit is not None:
        options["limit"] = min(limit, options.get("limit") or limit)
    recorded = bool(entry.get("recorded", ref in _RECORDED))
    return Made(name, partial(_open, ref, options, tokens), recorded)


def _read_described(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a data set of a class says, in the engine's words."""
    options = {
        _RENAMED.get(key, key): v for key, v in entry.items() if key not in _SETTINGS and v is not None
    }
    infer = entry.get("infer_cfg")
    inferencer = infer.get("inferencer") if isinstance(infer, Mapping) else None
    mode = inferencer.get("infer_mode") if isinstance(inferencer, Mapping) else None
    if mode is not None:
        if mode not in _HISTORIES:
            raise UnknownName(f"infer_mode of {entry['abbr']}", str(mode), _HISTORIES)
        options["history"] = _HISTORIES[mode]
    return options


def _open(ref: str, options: Mapping[str, Any], tokens: bool, model: Model) -> Workload:
    """The workload, its prompts counted by the tokenizer of the model, if it has any."""
    tokenizer = None
    while isinstance(model, (Counted, Rendered)):
        if isinstance(model, Counted) and not isinstance(model.tokenizer, OwnCounts):
            tokenizer = model.tokenizer
        model = model.model
    given = {} if tokenizer is None else {"tokenizer": tokenizer}
    workload: Workload = open_workload(ref, **{**given, **options}, model=model)
    if tokens and any("words" in remark for remark in getattr(workload, "remarks", ())):
        hint = "path=FOLDER behind the name of the model says where its tokenizer is"
        raise UsageError(f"{workload.name} counts tokens, and {model.name} has no tokenizer", hint=hint)
    return workload
