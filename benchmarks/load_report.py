"""CPU and peak memory of all that is said of a load run, as runs grow to 10^9 token events.

    python benchmarks/load_report.py [--requests 250000] [--tokens 4000] [--folder FOLDER]
    python benchmarks/load_report.py --curve

The run is made, not measured: requests of so many clients, each with its own times, written as the processes
of a load test write them. Then a process of its own reads the folder and computes every figure of it, with
intervals, its steady state and its timeline, and another draws the page. 10^9 events take 4 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from measure import measure

from steelyard.types import Record, Request, Response, Sample, Timing, Tokens

T = TypeVar("T")

BEGAN = 1_774_000_000.0
POOL = 1 << 24
AT_A_TIME = 4_000_000
CURVE = ((1_000, 128), (10_000, 128), (100_000, 128), (1_000_000, 128))


def make_run(path: Path, *, requests: int, tokens: int, clients: int, workers: int, seed: int = 0) -> None:
    """Write a load run: a closed loop of clients whose gaps are spread around 30 ms, a few of them long."""
    rng = np.random.default_rng(seed)
    pool = rng.lognormal(np.log(30_000), 0.2, POOL).astype(np.uint32)
    pool[rng.random(POOL) < 0.001] *= 20
    upto = np.concatenate([[0], np.cumsum(pool, dtype=np.int64)])
    rounds = -(-requests // clients)
    offsets = rng.integers(0, POOL - tokens, (rounds, clients))
    first = rng.gamma(4, 50_000, (rounds, clients)).astype(np.int64)
    took = first + upto[offsets + tokens - 1] - upto[offsets]
    done = np.cumsum(took + 200, axis=0)
    sent = done - took
    order = np.argsort(done.ravel()[:requests], kind="stable")
    columns = [array.ravel()[order] for array in (sent, first, done, offsets)]
    stage = {"name": f"{clients} clients", "concurrency": clients, "requests": requests, "state": "done"}
    about = {"format": 1, "kind": "load", "state": "done", "stages": [stage], "model": "made", "results": []}
    path.mkdir(parents=True)
    (path / "run.json").write_bytes(msgspec.json.encode(about))
    for worker in range(workers):
        write_shard(path, worker, [one[worker::workers] for one in columns], pool, tokens=tokens)


def write_shard(path: Path, worker: int, columns: list[Any], pool: Any, *, tokens: int) -> None:
    """Write what one process would have measured."""
    folder = path / "shards" / str(worker)
    folder.mkdir(parents=True)
    shard = {"format": 1, "sitting": 0, "worker": worker, "began": BEGAN}
    (folder / "shard.json").write_bytes(msgspec.json.encode(shard))
    encode = msgspec.json.Encoder().encode
    step = max(1, AT_A_TIME // tokens)
    sent, first, done, offsets = columns
    with (folder / "records.jsonl").open("wb") as lines, (folder / "events.bin").open("wb") as events:
        for begin in range(0, len(sent), step):
            part = slice(begin, begin + step)
            gaps = np.empty((len(sent[part]), tokens), np.uint32)
            gaps[:, 0] = first[part]
            gaps[:, 1:] = pool[offsets[part, None] + np.arange(tokens - 1)]
            events.write(gaps.tobytes())
            times = zip(sent[part].tolist(), done[part].tolist(), first[part].tolist())
            lines.writelines(
                encode(as_record(begin + n, worker, *one, tokens=tokens)) + b"\n"
                for n, one in enumerate(times)
            )
    with (folder / "client.jsonl").open("wb") as notes:
        for second in range(0, int(done.max() / 1e6)):
            notes.write(
                encode({"t": second, "stage": 0, "lag": 2e-4, "busy": 0.3, "cpu": 0.3 * second}) + b"\n"
            )


def as_record(number: int, worker: int, sent: int, done: int, first: int, *, tokens: int) -> Record:
    """A record as a load test stores it."""
    name = f"{worker}-{number}"
    at = sent / 1e6
    timing = Timing(at - 1e-4, at, (), done / 1e6, (sent + first - 300) / 1e6, taken_by="kernel")
    raw = {"finish_reason": "length", "events": tokens}
    return Record(
        index=number,
        sample=Sample(name, None, meta={"stage": 0, "session": name, "turn": 0}),
        request=Request(name, "", params={"max_tokens": tokens}),
        response=Response("", tokens=Tokens(4000, tokens), timing=timing, raw=raw),
    )


def tell_all(path: Path) -> Iterator[tuple[str, float]]:
    """Compute every figure of a run; each step with the CPU seconds that it took."""
    from steelyard.timings.columns import Columns
    from steelyard.timings.performance import measure as measure_columns
    from steelyard.timings.steady import find_steady
    from steelyard.timings.timeline import Timeline

    columns, spent = timed(lambda: Columns.read(path, stage=0))
    yield "read", spent
    performance, spent = timed(lambda: measure_columns(columns, limits={"ttft": 0.5, "tpot": 0.05}))
    yield "figures", spent
    steady, spent = timed(lambda: find_steady(columns))
    yield "steady state", spent
    _, spent = timed(lambda: measure_columns(columns, window=steady.window) if steady.window else None)
    yield "its figures", spent
    _, spent = timed(lambda: Timeline.of(columns))
    yield "timeline", spent
    print(performance.statistics["itl"].n, performance.statistics["itl"].p99, file=sys.stderr)


def draw_page(path: Path) -> Iterator[tuple[str, float]]:
    """Draw the page of a run."""
    from steelyard.report.load_contents import read_load
    from steelyard.report.load_page import draw_load_page
    from steelyard.store import Run

    contents, spent = timed(lambda: read_load(Run.open(path)))
    yield "figures", spent
    page, spent = timed(lambda: draw_load_page([contents]))
    yield "page", spent
    print(f"page: {len(page):,} characters", file=sys.stderr)


def timed(act: Callable[[], T]) -> tuple[T, float]:
    """What something gives, and its CPU seconds."""
    begun = time.process_time()
    return act(), time.process_time() - begun


JOBS = {"figures": tell_all, "page": draw_page}


def show(path: Path, *, requests: int, tokens: int) -> None:
    """Print a line for each job over a run."""
    for job in JOBS:
        measured = measure([sys.executable, __file__, "--job", job, path])
        steps = json.loads(measured.output.splitlines()[-1])
        said = ", ".join(f"{name} {spent:.1f}" for name, spent in steps.items())
        print(
            f"{requests:>9,}{tokens:>7,}{requests * tokens:>15,}  {job:<8}{measured.cpu:>7.1f}"
            f"{measured.rss_mb:>8.0f}  {said}",
            flush=True,
        )


def main() -> None:
    """Make runs, and print what telling all of them costs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=250_000)
    parser.add_argument("--tokens", type=int, default=4_000)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--curve", action="store_true", help="10^3 to 10^6 requests of 128 tokens")
    parser.add_argument("--folder", type=Path, help="where runs are made; they are removed again")
    parser.add_argument("--job", nargs=2, metavar=("JOB", "RUN"), help=argparse.SUPPRESS)
    parser.add_argument("--make", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        requests, tokens, clients, workers = map(int, options.make[1:])
        make_run(Path(options.make[0]), requests=requests, tokens=tokens, clients=clients, workers=workers)
        return
    if options.job:
        print(json.dumps(dict(JOBS[options.job[0]](Path(options.job[1])))))
        return
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
    print(
        f"{'requests':>9}{'tokens':>7}{'events':>15}  {'job':<8}{'CPU s':>7}{'RSS MB':>8}  CPU s of its steps"
    )
    for requests, tokens in CURVE if options.curve else ((options.requests, options.tokens),):
        folder = Path(tempfile.mkdtemp(dir=options.folder))
        try:
            clients = min(options.clients, max(1, requests // 20))
            made = folder / "run"
            shape = [requests, tokens, clients, options.workers]
            # Elsewhere, since a process begins with the peak memory of the one that it comes from.
            measure([sys.executable, __file__, "--make", made, *map(str, shape)])
            show(made, requests=requests, tokens=tokens)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
