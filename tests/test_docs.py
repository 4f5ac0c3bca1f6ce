"""The documents' code blocks run as they stand, one folder a page, in order.

A `python` or `yaml` block whose first line is a comment with a file name writes that file; other
`python` and all `bash` blocks are run. `text` blocks show output and are not run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
NAMED = re.compile(r"# (\S+\.(?:py|yaml|jsonl|csv))\n")


def blocks(page: Path) -> list[tuple[str, str]]:
    return [(language, code) for language, code in BLOCK.findall(page.read_text()) if language != "text"]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.stem)
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "NO_COLOR": "1"}
    for language, code in blocks(page):
        assert language in ("bash", "python", "yaml", "json"), f"{page.name}: a block of {language}"
        named = NAMED.match(code)
        if named:
            (tmp_path / named.group(1)).write_text(code)
            continue
        if "make " in code or "pip install" in code:
            continue  # what sets the project up is run by whoever runs this
        shell = ["bash", "-euo", "pipefail", "-c"] if language == "bash" else [sys.executable, "-c"]
        done = subprocess.run([*shell, code], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{page.name}:\n{code}\n{done.stdout}\n{done.stderr}"
