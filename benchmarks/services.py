"""What it costs to evaluate a service: CPU and memory a sample, of 64 questions under way at a time.

    python benchmarks/services.py [--sizes 2000 20000] [--events 128] [--peer-python PATH]

Short questions → exact match, every record stored, against a scripted service on a core of its own; the
client is on another. With `--events` answers are also streamed, in so many pieces each. The peer is
lm-evaluation-harness (with its extra `api`) over the same service, when `--peer-python` names an
environment that has it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from measure import Measured, measure

AT_A_TIME = 64
PEER = """
import sys
from lm_eval import simple_evaluate
from lm_eval.models.openai_completions import LocalChatCompletion

model = LocalChatCompletion(
    base_url=sys.argv[2], model="scripted", num_concurrent=int(sys.argv[3]), max_retries=1,
    tokenized_requests=False,
)
config = {
    "task": "sums", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": sys.argv[1]}},
    "test_split": "test", "output_type": "generate_until", "doc_to_text": "{{question}}",
    "doc_to_target": "{{answer}}", "metric_list": [{"metric": "exact_match"}],
    "generation_kwargs": {"until": ["\\n\\n"]},
}
results = simple_evaluate(
    model=model, tasks=[config], log_samples=True, bootstrap_iters=0, apply_chat_template=True
)
print(results["results"])
"""


@contextlib.contextmanager
def scripted(events: int) -> Iterator[int]:
    """The port of a scripted service on the first core."""
    script = Path(__file__).with_name("scripted_service.py")
    command = [sys.executable, str(script), "--core", "0", "--events", str(events)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield int(server.stdout.readline() if server.stdout else 0)
        finally:
            server.terminate()


def write_questions(path: Path, size: int) -> Path:
    """So many sums; the service says 42 to each."""
    with path.open("w") as file:
        for n in range(size):
            file.write(json.dumps({"question": f"What is {n} + {42 - n}?", "answer": "42"}) + "\n")
    return path


def middle(command: list[str | Path], folder: Path, *, stored: Path | None = None, size: int = 0) -> Measured:
    """The median run of three by its CPU time; every record must be stored."""
    runs = []
    for _ in range(3):
        if stored is not None:
            shutil.rmtree(stored, ignore_errors=True)
        runs.append(measure(command, folder=folder))
        if stored is not None:
            # One by one: a child begins with what its parent holds, and that would count as its memory.
            with (stored / "records.jsonl").open("rb") as lines:
                good = sum(b'"error":"' not in line for line in lines)
            if good != size:
                sys.exit(f"{good} of {size} answers are stored and good")
    return sorted(runs, key=lambda run: run.cpu)[1]


def main() -> None:
    """Measure both and print a table."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2_000, 20_000])
    parser.add_argument("--events", type=int, default=128)
    parser.add_argument("--peer-python", type=Path)
    options = parser.parse_args()
    cores = os.cpu_count() or 1
    pinned: list[str | Path] = ["taskset", "-c", "1"] if cores > 1 and shutil.which("taskset") else []
    with tempfile.TemporaryDirectory() as name, scripted(options.events) as port:
        folder, url = Path(name), f"http://127.0.0.1:{port}/v1"
        (folder / "peer.py").write_text(PEER)
        print(f"{'tool':<22}{'samples':>9}{'CPU s':>9}{'µs/sample':>11}{'RSS MB':>8}{'wall s':>8}")

        def show(tool: str, size: int, cost: Measured) -> None:
            each = cost.cpu / size * 1e6
            print(f"{tool:<22}{size:>9,}{cost.cpu:>9.2f}{each:>11.0f}{cost.rss_mb:>8.0f}{cost.wall:>8.1f}")

        for size in options.sizes:
            data, out = write_questions(folder / f"{size}.jsonl", size), folder / "run"
            model = ["openai", f"url={url}", "model=scripted", f"concurrency={AT_A_TIME}"]
            ours = [*pinned, sys.executable, "-m", "steelyard", "eval", "--data", data, "--metric", "exact"]
            ours += ["--quiet", "--out", out, "--model", *model]
            show("steelyard", size, middle(ours, folder, stored=out, size=size))
            if options.events:
                cost = middle([*ours, "stream=true"], folder, stored=out, size=size)
                show(f"steelyard, {options.events} events", size, cost)
            if options.peer_python:
                peer = [options.peer_python, "peer.py", data, f"{url}/chat/completions", str(AT_A_TIME)]
                show("lm-eval", size, middle([*pinned, *peer], folder))


if __name__ == "__main__":
    main()
