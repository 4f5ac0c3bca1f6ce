"""`steelyard load` in a process of its own, and what a server counted meanwhile by its own word."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any


def load_by_command(folder: Path, model: list[str], *flags: str) -> dict[str, Any]:
    """The one stage of a load that went well, as `--json` tells it."""
    command = [sys.executable, "-m", "steelyard", "load", "--model", *model, *flags]
    command += ["--quiet", "--json", "--out", str(folder / "load"), "--html", str(folder / "load.html")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = json.loads(done.stdout)["runs"]
    (stage,) = run["stages"]
    assert (run["state"], run["failed"], stage["performance"]["taken_by"].keys()) == ("done", 0, {"kernel"})
    assert "</html>" in (folder / "load.html").read_text()
    return {**stage, "warnings": run["warnings"]}


def check_times(performance: dict[str, Any]) -> None:
    """Each time of an answer lies where it must beside the others, to the microsecond of stored events."""
    spread, step = performance["statistics"], 0.0011
    for level in ("min", "median", "p99", "max"):
        first_byte, ttft, whole = (spread[measure][level] for measure in ("first_byte", "ttft", "e2el"))
        assert 0 < first_byte <= ttft + step, (level, first_byte, ttft)
        assert ttft <= whole + step, (level, ttft, whole)
        assert whole <= spread["e2el_due"][level] + step, (level, whole, spread["e2el_due"][level])
    assert spread["lag"]["min"] >= 0
    assert performance["concurrency_mean"] <= performance["concurrency_max"]


def total(performance: dict[str, Any], measure: str) -> int:
    """All the tokens of a measure."""
    spread = performance["statistics"][measure]
    return round(spread["average"] * spread["n"])


def read_counter(url: str, name: str, **labels: str) -> float:
    """What an exposition says of a counter, over all its series with these labels."""
    with urllib.request.urlopen(url, timeout=20) as told:
        text = told.read().decode()
    found = re.findall(rf"^{re.escape(name)}(\{{.*\}})? (\S+)$", text, re.M)
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(float(value) for shown, value in found if all(one in shown for one in wanted))
