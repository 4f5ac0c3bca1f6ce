"""Kill an evaluation again and again with SIGKILL, resume it, and compare with an undisturbed one.

    python benchmarks/kills.py [--kills 100] [--samples 20000]

Each kill comes at a random moment, in the middle of a write as likely as anywhere. In the end
every record must be there once, equal to that of the undisturbed run but for its times, and every
answer once in answers.csv.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODEL = """
import time
def shout(prompt):
    if prompt.endswith("7"):
        time.sleep(0.0005)
    return prompt.upper()
"""


def records(run: Path) -> list[dict[str, object]]:
    """The records of a run by index, without what may differ: the times."""
    found = []
    for line in (run / "records.jsonl").read_bytes().splitlines():
        record = json.loads(line)
        del record["response"]["timing"]
        found.append(record)
    return sorted(found, key=lambda record: record["index"])  # type: ignore[no-any-return]


def answers(run: Path) -> list[list[str]]:
    """The lines of answers.csv in the order of the ids."""
    with (run / "answers.csv").open(newline="", encoding="utf-8") as file:
        return sorted(list(csv.reader(file, delimiter=";", strict=True))[1:])


def main() -> int:
    """Run the kills; 0 if nothing was lost and nothing came twice."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model.py").write_text(MODEL)
        rows = [{"input": f"row {n}", "target": f"ROW {n}"} for n in range(options.samples)]
        (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        start = [sys.executable, "-m", "steelyard", "eval", "--model", "./model.py:shout"]
        start += ["--data", "data.jsonl", "--metric", "exact", "--quiet", "--csv", "--out"]
        begun = time.monotonic()
        subprocess.run(
            [*start, "whole"], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        longest = time.monotonic() - begun
        resume = [sys.executable, "-m", "steelyard", "eval", "--quiet", "--resume", "killed"]
        command, torn, kills, ends = [*start, "killed"], 0, 0, 0
        while kills < options.kills:
            process = subprocess.Popen(
                command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            try:
                process.wait(chance.uniform(0, longest))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
            else:
                if process.returncode != 0:
                    print(f"a resumed run ended with {process.returncode}")
                    return 1
                # It got to its end: take the last third away, so that there is something to kill again.
                ends += 1
                _cut(folder / "killed" / "records.jsonl", chance)
            log = folder / "killed" / "records.jsonl"
            if log.exists():
                data = log.read_bytes()
                torn += bool(data) and not data.endswith(b"\n")
            if (folder / "killed" / "run.json").exists():
                command = resume
        subprocess.run(resume, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        whole, killed = records(folder / "whole"), records(folder / "killed")
        sheets = answers(folder / "whole") == answers(folder / "killed") and len(answers(folder / "killed"))
    equal = whole == killed and sheets == options.samples
    print(
        f"{kills} kills, {ends} early ends, {torn} torn lines: {len(killed)} of {len(whole)} records, ",
        end="",
    )
    print("all equal" if equal else "NOT EQUAL")
    return 0 if equal else 1


def _cut(log: Path, chance: random.Random) -> None:
    size = log.stat().st_size
    with log.open("r+b") as file:
        file.truncate(int(size * chance.uniform(0.3, 1)))


if __name__ == "__main__":
    sys.exit(main())
