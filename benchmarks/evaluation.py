"""What an evaluation costs beside its model: CPU and memory a sample, over the number of samples.

    python benchmarks/evaluation.py [--sizes 2000 20000] [--peer-python PATH] [--large]

Question → exact match with a model that answers at once, every record stored. The peer is
lm-evaluation-harness with an instant model and the same questions, when `--peer-python` names an
environment that has it. `--large` goes to 1,000,000 samples (steelyard alone).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from measure import Measured, measure, measure_median

MODEL = "def reply(prompt):\n    return prompt[-6:]\n"

PEER = """
import sys
from lm_eval import simple_evaluate
from lm_eval.api.model import LM

class Instant(LM):
    def loglikelihood(self, requests, **_): raise NotImplementedError
    def loglikelihood_rolling(self, requests, **_): raise NotImplementedError
    def generate_until(self, requests, **_): return [r.args[0][-6:] for r in requests]

config = {
    "task": "recall", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": sys.argv[1]}},
    "test_split": "test", "output_type": "generate_until", "doc_to_text": "{{input}}",
    "doc_to_target": "{{target}}", "metric_list": [{"metric": "exact_match"}],
    "generation_kwargs": {"until": ["\\n\\n"]},
}
print(simple_evaluate(model=Instant(), tasks=[config], log_samples=True, bootstrap_iters=0)["results"])
"""


def main() -> None:
    """Measure both and print a table."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2_000, 20_000])
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--large", action="store_true")
    options = parser.parse_args()
    sizes = [*options.sizes, *([100_000, 1_000_000] if options.large else [])]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model.py").write_text(MODEL)
        (folder / "peer.py").write_text(PEER)
        titles = f"{'tool':<12}{'samples':>10}{'CPU s':>9}{'µs/sample':>11}{'µs/extra':>10}"
        print(f"{titles}{'RSS MB':>8}{'wall s':>8}")
        rows: dict[str, list[tuple[int, Measured]]] = {}
        for size in sizes:
            data = folder / f"{size}.jsonl"
            with data.open("w") as file:
                for n in range(size):
                    asked = f"Repeat the number at the end of this line: {n:06}"
                    file.write(json.dumps({"input": asked, "target": f"{n:06}"}) + "\n")
            runs = folder / f"runs-{size}"
            ours = [sys.executable, "-m", "steelyard", "eval", "--model", "./model.py:reply"]
            ours += ["--data", data.name, "--metric", "exact", "--quiet", "--out"]
            times = 3 if size <= 20_000 else 1
            measured = [measure([*ours, f"{runs}-{n}"], folder=folder) for n in range(times)]
            middle = sorted(measured, key=lambda m: m.cpu)[times // 2]
            rows.setdefault("steelyard", []).append((size, middle))
            stored = sum(1 for _ in (Path(f"{runs}-0") / "records.jsonl").open("rb"))
            if stored != size:
                sys.exit(f"{stored} of {size} records were stored")
            if options.peer_python and size <= 20_000:
                command = [options.peer_python, "peer.py", data]
                rows.setdefault("lm-eval", []).append((size, measure_median(command, folder=folder)))
        for tool, figures in rows.items():
            before = None
            for size, cost in figures:
                extra = (
                    "" if before is None else f"{(cost.cpu - before[1].cpu) / (size - before[0]) * 1e6:.0f}"
                )
                print(
                    f"{tool:<12}{size:>10,}{cost.cpu:>9.2f}{cost.cpu / size * 1e6:>11.0f}{extra:>10}"
                    f"{cost.rss_mb:>8.0f}{cost.wall:>8.1f}"
                )
                before = (size, cost)
        help_cost = measure_median([sys.executable, "-m", "steelyard", "--help"], times=5)
        import_cost = measure_median([sys.executable, "-c", "import steelyard"], times=5)
        bare = measure_median([sys.executable, "-c", "pass"], times=5)
        print(
            f"--help {help_cost.cpu * 1000:.0f} ms of CPU, import {import_cost.cpu * 1000:.0f} ms, ", end=""
        )
        print(f"Python itself {bare.cpu * 1000:.0f} ms")


if __name__ == "__main__":
    main()
