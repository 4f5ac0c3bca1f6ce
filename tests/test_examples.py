"""The examples run as they are described."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMANDS = [
    (path.name, line)
    for path in sorted((ROOT / "examples").glob("*.py"))
    for line in path.read_text().splitlines()
    if line.startswith(("steelyard ", "python "))
]


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_an_example_runs(name: str, command: str, tmp_path: Path) -> None:
    words = shlex.split(command.replace("examples/", f"{ROOT}/examples/"))
    start = [sys.executable, "-m", "steelyard"] if words[0] == "steelyard" else [sys.executable]
    done = subprocess.run([*start, *words[1:]], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_every_example_says_how_it_is_run() -> None:
    told = {name for name, _ in COMMANDS}
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == told
