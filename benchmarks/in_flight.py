"""Whether as many requests are in flight at once as were asked for, and what each of them costs in memory.

    python benchmarks/in_flight.py [--requests 200 10000]

All are due at the same moment; the service, `paced_service.c`, compiled here, begins to answer seconds
later. How many were there at once is by its own record: between when it had read a request and when it
said the last of its answer. Memory is that of all processes of the command, but for the service.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from measure import measure_tree


def count_at_once(url: str) -> tuple[int, float]:
    """The most answers that were under way at a time, and how many seconds it took until all were."""
    lines = urllib.request.urlopen(f"{url}/record").read().splitlines()
    answers = [one for one in map(json.loads, lines) if one["tokens"]]
    moments = sorted(moment for one in answers for moment in ((one["asked"], 1), (one["done"], -1)))
    most = under_way = 0
    for _, change in moments:
        under_way += change
        most = max(most, under_way)
    asked = [one["asked"] for one in answers]
    return most, (max(asked) - min(asked)) / 1e9


def weigh(url: str, requests: int, wait: float) -> str:
    """A row: what was asked for, what was there, and what it took."""
    urllib.request.urlopen(urllib.request.Request(f"{url}/forget", method="POST")).read()
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "run"
        command = [
            *(sys.executable, "-m", "steelyard", "load", "--model", f"{url}/v1", "model=paced"),
            *("--workload", "synthetic", "input=16", "output=4", "--arrival", "at_once"),
            *("--requests", str(requests), "--warmup", "0", "--quiet", "--out", str(run)),
        ]
        cost = measure_tree(command, folder=Path(place))
        (stage,) = json.loads((run / "run.json").read_text())["results"]
    most, seconds = count_at_once(url)
    return (
        f"{requests:>9,}{most:>11,}{stage['failed']:>8,}{seconds:>16.2f}{cost.cpu:>8.1f}{cost.rss_mb:>8,.0f}"
        f"{'' if seconds < wait else '   the service began to answer before all were there'}"
    )


def main() -> None:
    """Weigh each number, and print a table."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--requests", type=int, nargs="+", default=[200, 10_000])
    parser.add_argument("--wait", type=float, default=10.0, help="seconds until the service answers")
    options = parser.parse_args()
    print(f"{'asked':>9}{'in flight':>11}{'failed':>8}{'seconds to all':>16}{'CPU s':>8}{'MB':>8}")
    with tempfile.TemporaryDirectory() as place:
        program = Path(place) / "paced_service"
        source = Path(__file__).with_name("paced_service.c")
        subprocess.run(["cc", "-O2", "-o", program, source], check=True)
        command = [str(program), "--core", "0", "--tokens", "4", "--ttft", f"{options.wait * 1e6:.0f}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                url = f"http://127.0.0.1:{int(process.stdout.readline() if process.stdout else 0)}"
                for requests in options.requests:
                    print(weigh(url, requests, options.wait), flush=True)
            finally:
                process.terminate()


if __name__ == "__main__":
    main()
