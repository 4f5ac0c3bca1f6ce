"""A folder with a model, data and a metric in files, as someone has them who uses the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from steelyard.cli import main

MODEL = """
import asyncio

def echo(prompt):
    return prompt.split()[-1]

def other(prompt):
    return "it is not " + prompt.split()[-1]

def flaky(prompt):
    if prompt.endswith("3"):
        raise TimeoutError(f"no answer within {len(prompt)} s")
    return prompt.split()[-1]

def upper(prompt):
    return prompt.split()[-1].upper()

def spoken(prompt):
    return f"First 5, then 6. The answer is {prompt.split()[-1][1:]}."

async def slow(prompt):
    await asyncio.sleep(0.05)
    return prompt.split()[-1]

class Picky:
    def __init__(self):
        raise OSError("no weights")

class Configured:
    def __init__(self, word="none", api_key=None):
        self.word, self.api_key = word, api_key

    def predict(self, prompts):
        return [f"{self.word}" for _ in prompts]
"""

METRIC = """
def broken(sample, response):
    raise KeyError("weights")

def short(sample, response):
    return len(response.text) < 4
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with model.py, metric.py and words.jsonl in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "metric.py").write_text(METRIC)
    rows = [{"input": f"say w{n}", "target": f"w{n}", "kind": "ab"[n % 2]} for n in range(40)]
    (tmp_path / "words.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.fixture
def ask(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command in this process: exit code, stdout, stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(arguments))
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


@pytest.fixture
def begin(folder: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start the command as a process of its own."""

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "steelyard", *arguments],
            cwd=folder,
            env={**os.environ, "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start
