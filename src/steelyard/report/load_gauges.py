"""The figures of a load run for Prometheus: as text, and sent to a push gateway.

steelyard_load_seconds{model="tiny",stage="15/s poisson",measure="ttft",quantile="0.99"} 0.0904
"""

from __future__ import annotations

import base64
import http.client
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from steelyard.errors import StoreError, UsageError
from steelyard.masking import mask_url
from steelyard.report.load_contents import LoadContents, StageContents, workload_of
from steelyard.report.load_tables import LABELS
from steelyard.timings.doubts import is_spoiled
from steelyard.timings.statistics import LEVELS

_KIND = "text/plain; version=0.0.4; charset=utf-8"
_PATIENCE = 20.0
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_HELP = {
    "steelyard_load_seconds": "Percentiles of a time of the requests of a stage.",
    "steelyard_load_value": "Percentiles of another measure of the requests of a stage.",
    "steelyard_load_requests": "Requests of a stage, by what became of them.",
    "steelyard_load_rate": "What came a second in a stage.",
    "steelyard_load_in_flight": "Requests in flight in a stage.",
    "steelyard_load_duration_seconds": "How long a stage took.",
    "steelyard_load_times": "Answers of a stage, by who took their times.",
    "steelyard_load_spoiled": "Whether the client, and not the service, was the limit of a stage.",
    "steelyard_load_doubts": "How many reasons there are to doubt the figures of a stage.",
}


def write_gauges(contents: LoadContents) -> str:
    """The figures of all stages as Prometheus reads them."""
    told: dict[str, list[str]] = {name: [] for name in _HELP}
    for stage in contents.stages:
        for name, labels, value in _list_gauges(contents, stage):
            shown = ",".join(f'{key}="{text.translate(_ESCAPES)}"' for key, text in labels.items())
            told[name].append(f"{name}{{{shown}}} {value:.9g}")
    lines = []
    for name, found in told.items():
        if found:
            lines += [f"# HELP {name} {_HELP[name]}", f"# TYPE {name} gauge", *found]
    return "\n".join(lines) + "\n"


def push_gauges(url: str, text: str) -> None:
    """Send figures to a push gateway, in the place of those that were sent before."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{mask_url(url)!r} is no address of a push gateway", hint="http://localhost:9091")
    path = parts.path.rstrip("/")
    path = path if "/metrics/job/" in f"{path}/" else f"{path}/metrics/job/steelyard"
    headers = {"Content-Type": _KIND}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=_PATIENCE)
    try:
        connection.request("PUT", path, body=text.encode("utf-8", "backslashreplace"), headers=headers)
        answer = connection.getresponse()
        said = answer.read(500).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        message = f"cannot push to {mask_url(url)}: {error}"
        raise StoreError(message, hint="the run is stored: steelyard report RUN --push URL") from error
    finally:
        connection.close()
    if answer.status >= 300:
        raise StoreError(f"{mask_url(url)} answered {answer.status}: {said}")


def _list_gauges(contents: LoadContents, stage: StageContents) -> Iterator[tuple[str, dict[str, str], float]]:
    one = stage.performance
    fixed = {
        "model": str(contents.run.about.get("model") or ""),
        "workload": workload_of(contents.run),
        "stage": stage.name,
    }
    for measure, (_, unit) in LABELS.items():
        spread = one.statistics.get(measure)
        if spread is None or not spread.n:
            continue
        name = "steelyard_load_seconds" if unit == "ms" else "steelyard_load_value"
        for level, quantile in LEVELS.items():
            if (value := spread.get(level)) is not None:
                yield name, {**fixed, "measure": measure, "quantile": f"{quantile:g}"}, value
    for state, count in (("answered", one.ok), ("failed", one.failed), ("cut", one.cut)):
        yield "steelyard_load_requests", {**fixed, "state": state}, count
    for of, rate in (
        ("requests", one.request_rate),
        ("good requests", one.goodput),
        ("input tokens", one.input_rate),
        ("output tokens", one.output_rate),
    ):
        if rate is not None:
            yield "steelyard_load_rate", {**fixed, "of": of}, rate
    if one.concurrency_mean is not None:
        yield "steelyard_load_in_flight", {**fixed, "which": "average"}, one.concurrency_mean
    yield "steelyard_load_in_flight", {**fixed, "which": "most"}, one.concurrency_max
    yield "steelyard_load_duration_seconds", fixed, one.duration
    for by, count in one.taken_by.items():
        yield "steelyard_load_times", {**fixed, "taken_by": by}, count
    yield "steelyard_load_spoiled", fixed, is_spoiled(one)
    yield "steelyard_load_doubts", fixed, len(one.doubts)
