"""The documents' code blocks run as they stand, one folder a page, in order.

A `python` or `yaml` block whose first line is a comment with a file name writes that file; other
`python` and all `bash` blocks are run. `text` blocks show output and are not run.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
# Of a block; the slowest takes some seconds.
MOST_SECONDS = 120
NAMED = re.compile(r"# (\S+\.(?:py|yaml|jsonl|csv))\n")


def blocks(page: Path) -> list[tuple[str, str]]:
    return [(language, code) for language, code in BLOCK.findall(page.read_text()) if language != "text"]


def run(command: list[str], folder: Path) -> tuple[int | None, str]:
    """How a block ended, None where it did not, and what it said; whatever it began is ended too."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "NO_COLOR": "1"}
    # To a file: a pipe would be waited for until the last process that has it is gone.
    with (folder / ".said").open("w+b") as said:
        block = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=said, stderr=said, start_new_session=True
        )
        try:
            code: int | None = block.wait(MOST_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        with suppress(ProcessLookupError):
            os.killpg(block.pid, signal.SIGKILL)
        block.wait()
        said.seek(0)
        return code, said.read().decode("utf-8", "replace")


def test_a_block_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "MOST_SECONDS", 1)
    left = "sleep 60 & echo began; "
    assert run(["bash", "-c", left + "wait"], tmp_path) == (None, "began\n")
    assert run(["bash", "-c", left + "exit 3"], tmp_path) == (3, "began\n")


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.stem)
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    for language, code in blocks(page):
        assert language in ("bash", "python", "yaml", "json"), f"{page.name}: a block of {language}"
        named = NAMED.match(code)
        if named:
            (tmp_path / named.group(1)).write_text(code)
            continue
        if "make " in code or "pip install" in code:
            continue  # what sets the project up is run by whoever runs this
        shell = ["bash", "-euo", "pipefail", "-c"] if language == "bash" else [sys.executable, "-c"]
        ended, said = run([*shell, code], tmp_path)
        how = "it did not end" if ended is None else f"it ended with {ended}"
        assert ended == 0, f"{page.name}: {how}\n{code}\n{said}"
