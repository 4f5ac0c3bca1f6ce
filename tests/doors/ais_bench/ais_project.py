"""A user's own folder, in which the command `ais_bench` is run as a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ais_bench.benchmark.cli.command import main

PAGE = Path(__file__).parents[2] / "documents" / "1-service-and-local-backends.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(), re.M | re.S)
API_CLASS, API_CONFIG, API_COMMAND, LOCAL_CLASS, LOCAL_CONFIG, LOCAL_COMMAND = (code for _, code in BLOCKS)
DEMO = "demo_gsm8k_gen_4_shot_cot_chat_prompt"
HOME = Path("ais_bench/benchmark")

API_BODIES = [
    "pass",
    'return self.base_url + "v1/chat/completions"',
    "self.seen = max_out_len\n"
    "        messages = [dict(role='user', content=str(input))]\n"
    "        return dict(model='served', messages=messages, max_tokens=max_out_len, temperature=0.01)",
    'output.content = data["choices"][0]["message"]["content"]',
    'for choice in data["choices"]:\n            output.content += choice["delta"].get("content", "")',
]
LOCAL_BODIES = ["pass", 'return ["The answer is %d." % (17 + max_out_len - 100) for _ in input]']


class Project:
    """A folder with files of one's own, and the command: `run` in a process apart, `call` in this one."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str] | None = None) -> None:
        self.folder, self.capsys = folder, capsys

    def call(self, *words: str, code: int = 0) -> tuple[str, str]:
        """What a command writes that needs no process of its own."""
        assert self.capsys is not None
        self.capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            patch.delenv("AIS_BENCH_DATASETS_CACHE", raising=False)
            patch.setattr(sys, "path", [*sys.path])
            found = main(words)
        out, err = self.capsys.readouterr()
        assert found == code, f"{words}\n{out}\n{err}"
        return out, err

    def write(self, name: str | Path, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def start(self, *words: str, before: Sequence[str] = (), **variables: str) -> subprocess.Popen[str]:
        environment = {
            name: value for name, value in os.environ.items() if name != "AIS_BENCH_DATASETS_CACHE"
        }
        return subprocess.Popen(
            [*before, sys.executable, "-m", "ais_bench", *words],
            cwd=self.folder,
            env={**environment, "OMP_NUM_THREADS": "1", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, code: int = 0, **variables: str) -> tuple[str, str]:
        """What a command writes; it has to end with `code`."""
        process = self.start(*words, **variables)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, f"{words}\n{out}\n{err}"
        assert "Traceback" not in err or "--debug" in words, err
        return out, err

    def outputs(self) -> list[Path]:
        return sorted((self.folder / "outputs" / "default").glob("*"))

    def lines(self, model: str, name: str) -> list[dict[str, Any]]:
        """The predictions of the last sitting."""
        text = (self.outputs()[-1] / "predictions" / model / f"{name}.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def results(self, model: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            (self.outputs()[-1] / "results" / model / f"{name}.json").read_text()
        )
        return found


def fill(code: str, bodies: list[str]) -> str:
    """A block of the document with something in the place of each line of dots."""
    filled = list(bodies)
    return re.sub(r"^( +)\.\.\.$", lambda found: found[1] + filled.pop(0), code, flags=re.M)


def toy_model(answers: str = "prompt.upper()", *, extra: str = "") -> str:
    """A configuration with a local class in it, which answers what an expression of `prompt` says."""
    return f"""\
import os, time
from ais_bench.benchmark.models import BaseModel

class Toy(BaseModel):
    def generate(self, inputs, max_out_len=None, **kwargs):
        return [{answers} for prompt in map(str, inputs)]

models = [dict(attr="local", type=Toy, abbr="toy", path="-", max_out_len=100, batch_size=1{extra})]
"""
