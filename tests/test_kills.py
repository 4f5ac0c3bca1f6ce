"""Killed with SIGKILL at random moments, an evaluation ends with exactly the records it should have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

STRESS = Path(__file__).parents[1] / "benchmarks" / "kills.py"


@pytest.mark.real
def test_nothing_is_lost_and_nothing_comes_twice() -> None:
    command = [sys.executable, str(STRESS), "--kills", "20", "--samples", "10000", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 kills" in done.stdout
    assert "10000 of 10000 records, all equal" in done.stdout
