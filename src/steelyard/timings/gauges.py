"""What servers tell of themselves, under one name each: `take_values(read_exposition(text))`.

    vllm:num_requests_running, sglang:num_running_reqs, tgi_batch_current_size, …   → running
    vllm:prefix_cache_hits_total                                                    → prefix_hits

Of two names for one thing (an old and a new one) the first that is there counts. Numbers of several
models, engines or cards are added up, shares among them averaged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from steelyard.wire.expositions import Series


class Source(NamedTuple):
    """Where a value stands in an exposition: a name, a label that it must have, and its unit."""

    name: str
    where: tuple[str, str] | None = None
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Taken:
    """What one look at a server gave; histograms as counts below each bound, their sum under "sum"."""

    values: Mapping[str, float]
    histograms: Mapping[str, Mapping[str, float]]


def _sources(*names: str | Source) -> tuple[Source, ...]:
    return tuple(name if isinstance(name, Source) else Source(name) for name in names)


COUNTERS: Mapping[str, tuple[Source, ...]] = {
    "requests": _sources(
        "vllm:request_success_total",
        "sglang:num_requests_total",
        "tgi_request_success",
        "nv_inference_request_success",
        "steelyard_requests_total",
    ),
    "failures": _sources("tgi_request_failure", "nv_inference_request_failure"),
    "tokens_in": _sources(
        "vllm:prompt_tokens_total",
        "sglang:prompt_tokens_total",
        "tgi_request_input_length_sum",
        "llamacpp:prompt_tokens_total",
        "steelyard_tokens_in_total",
    ),
    "tokens_out": _sources(
        "vllm:generation_tokens_total",
        "sglang:generation_tokens_total",
        "tgi_request_generated_tokens_sum",
        "llamacpp:tokens_predicted_total",
        "steelyard_tokens_out_total",
    ),
    "prefix_queries": _sources("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"),
    "prefix_hits": _sources(
        "vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total", "sglang:cached_tokens_total"
    ),
    "drafts": _sources("vllm:spec_decode_num_drafts_total"),
    "drafted": _sources("vllm:spec_decode_num_draft_tokens_total"),
    "accepted": _sources("vllm:spec_decode_num_accepted_tokens_total"),
    "preemptions": _sources("vllm:num_preemptions_total", "sglang:num_retracted_requests_total"),
    "cache_hits": _sources("nv_cache_num_hits_per_model"),
    "cache_misses": _sources("nv_cache_num_misses_per_model"),
    "executions": _sources("nv_inference_exec_count"),
    "inferences": _sources("nv_inference_count"),
    "queue_seconds": _sources(Source("nv_inference_queue_duration_us", factor=1e-6)),
    "compute_seconds": _sources(Source("nv_inference_compute_infer_duration_us", factor=1e-6)),
    "energy_joules": _sources(
        "nv_energy_consumption", Source("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", factor=1e-3)
    ),
    "cpu_seconds": _sources("process_cpu_seconds_total"),
}
"""What only grows: of interest is by how much."""

AMOUNTS: Mapping[str, tuple[Source, ...]] = {
    "running": _sources(
        "vllm:num_requests_running",
        "sglang:num_running_reqs",
        "tgi_batch_current_size",
        Source("nv_trt_llm_request_metrics", ("request_type", "active")),
        "llamacpp:requests_processing",
        "steelyard_requests_in_flight",
    ),
    "waiting": _sources(
        "vllm:num_requests_waiting",
        "sglang:num_queue_reqs",
        "tgi_queue_size",
        Source("nv_trt_llm_request_metrics", ("request_type", "waiting")),
        "nv_inference_pending_request_count",
        "llamacpp:requests_deferred",
        "steelyard_requests_waiting",
    ),
    "gpu_memory_bytes": _sources(
        "nv_gpu_memory_used_bytes", Source("DCGM_FI_DEV_FB_USED", factor=float(1 << 20))
    ),
    "gpu_watts": _sources("nv_gpu_power_usage", "DCGM_FI_DEV_POWER_USAGE"),
    "rss_bytes": _sources("process_resident_memory_bytes"),
}
"""What goes up and down, and adds up."""

SHARES: Mapping[str, tuple[Source, ...]] = {
    "kv_cache": _sources(
        "vllm:kv_cache_usage_perc",
        "vllm:gpu_cache_usage_perc",
        "sglang:token_usage",
        Source("nv_trt_llm_kv_cache_block_metrics", ("kv_cache_block_type", "fraction")),
        "llamacpp:kv_cache_usage_ratio",
    ),
    "prefix_hit_share": _sources("vllm:gpu_prefix_cache_hit_rate", "sglang:cache_hit_rate"),
    "accept_length": _sources("sglang:spec_accept_length"),
    "gpu_utilization": _sources("nv_gpu_utilization", Source("DCGM_FI_DEV_GPU_UTIL", factor=0.01)),
}
"""What goes up and down, and is averaged over engines or cards."""

HISTOGRAMS: Mapping[str, tuple[Source, ...]] = {
    "ttft": _sources(
        "vllm:time_to_first_token_seconds",
        "sglang:time_to_first_token_seconds",
        Source("nv_inference_first_response_histogram_ms", factor=1e-3),
        "steelyard_first_piece_seconds",
    ),
    "itl": _sources(
        "vllm:inter_token_latency_seconds",
        "vllm:time_per_output_token_seconds",
        "sglang:inter_token_latency_seconds",
        "sglang:time_per_output_token_seconds",
        "tgi_request_mean_time_per_token_duration",
    ),
    "e2el": _sources(
        "vllm:e2e_request_latency_seconds",
        "sglang:e2e_request_latency_seconds",
        "tgi_request_duration",
        "steelyard_request_seconds",
    ),
    "queue": _sources(
        "vllm:request_queue_time_seconds", "sglang:queue_time_seconds", "tgi_request_queue_duration"
    ),
}
"""Times as the server itself has them, in seconds."""

STARTED = "started"
"""When the process began, in seconds of 1970: whatever has another is another process."""


def take_values(series: Iterable[Series]) -> Taken:
    """The values that are known, of one server."""
    wanted: dict[str, list[Series]] = {}
    for one in series:
        if one.name in _WANTED and math.isfinite(one.value):
            wanted.setdefault(one.name, []).append(one)
    values: dict[str, float] = {}
    for kind, average in ((COUNTERS, False), (AMOUNTS, False), (SHARES, True)):
        for name, sources in kind.items():
            if found := _first(wanted, sources):
                total = math.fsum(found)
                values[name] = total / len(found) if average else total
    if begun := wanted.get("process_start_time_seconds"):
        values[STARTED] = begun[0].value
    histograms = {}
    for name, sources in HISTOGRAMS.items():
        if (histogram := _histogram(wanted, sources)) is not None:
            histograms[name] = histogram
    return Taken(values, histograms)


def merge(looks: Iterable[Taken]) -> Taken:
    """What several servers tell that share a load, as of one."""
    values: dict[str, list[float]] = {}
    histograms: dict[str, dict[str, float]] = {}
    for look in looks:
        for name, value in look.values.items():
            values.setdefault(name, []).append(value)
        for name, counts in look.histograms.items():
            into = histograms.setdefault(name, {})
            for bound, count in counts.items():
                into[bound] = into.get(bound, 0.0) + count
    together = {}
    for name, told in values.items():
        # The processes of several servers are known by the last that began.
        total = max(told) if name == STARTED else math.fsum(told)
        together[name] = total / len(told) if name in SHARES else total
    return Taken(together, histograms)


def _first(wanted: Mapping[str, list[Series]], sources: Iterable[Source]) -> list[float]:
    for source in sources:
        found = [
            one.value * source.factor
            for one in wanted.get(source.name, ())
            if source.where is None or one.labels.get(source.where[0]) == source.where[1]
        ]
        if found:
            return found
    return []


def _histogram(wanted: Mapping[str, list[Series]], sources: Iterable[Source]) -> dict[str, float] | None:
    for source in sources:
        counts: dict[float, float] = {}
        for bucket in wanted.get(f"{source.name}_bucket", ()):
            try:
                bound = float(bucket.labels.get("le", "")) * source.factor
            except ValueError:
                continue
            counts[bound] = counts.get(bound, 0.0) + bucket.value
        if counts:
            told = {f"{bound:g}": counts[bound] for bound in sorted(counts)}
            total = math.fsum(one.value for one in wanted.get(f"{source.name}_sum", ()))
            return {**told, "sum": total * source.factor}
    return None


_WANTED = frozenset(
    [source.name for kind in (COUNTERS, AMOUNTS, SHARES) for sources in kind.values() for source in sources]
    + [f"{s.name}_{part}" for ss in HISTOGRAMS.values() for s in ss for part in ("bucket", "sum")]
    + ["process_start_time_seconds"]
)
