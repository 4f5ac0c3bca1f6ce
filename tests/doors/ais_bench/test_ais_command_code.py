"""Programs that a model writes, through the command `ais_bench`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from ais_project import Project, toy_model

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are run on Linux alone")

TEST = "def check(candidate):\n    assert candidate(3) == 6\n"


def test_humaneval_is_run_and_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path, capsys)
    name = "('double' if 'double' in prompt else 'triple')"
    project.write(
        "conf/models/toy.py",
        toy_model(f"'```python\\ndef ' + {name} + '(x):\\n    return 2 * x\\n```'"),
    )
    rows = [
        {"task_id": f"HumanEval/{n}", "prompt": f"def {name}(x):\n", "entry_point": name, "test": TEST}
        for n, name in enumerate(["double", "double", "double", "triple"])
    ]
    rows[-1]["test"] = "def check(candidate):\n    assert candidate(3) == 9\n"
    project.write(
        "ais_bench/datasets/humaneval/human-eval-v2-20210705.jsonl",
        "".join(json.dumps(row) + "\n" for row in rows),
    )
    out, _ = project.call("--config-dir", "conf", "--models", "toy", "--datasets", "humaneval_gen_0_shot")
    cells = [line.split() for line in out.splitlines()[1:]]
    assert [(row[0], row[2], row[4]) for row in cells] == [("humaneval", "humaneval_pass@1", "75.00")]
