"""Pictures in a real SGLang engine on the CPU, held against the same folders through transformers.

In a file of its own: an SGLang engine that is closed takes every other of its process with it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sglang", reason="needs SGLang: make test-engines", exc_type=ImportError)

from engines import SGLANG, ask, check_alike, check_times, picture, vision_requests, write_vision_model

from steelyard import open_model
from steelyard.models.sglang import Sglang

pytestmark = [pytest.mark.real, pytest.mark.engines, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl"])
def test_pictures_are_seen_as_by_transformers(family: str, tmp_path: Path) -> None:
    folder = write_vision_model(family, tmp_path / family)
    ours = open_model("hf", path=folder, dtype="float32", max_tokens=12).batch(vision_requests())
    model = open_model("sglang", path=folder, **SGLANG)
    assert isinstance(model, Sglang)
    try:
        theirs = model.batch(vision_requests())
        check_alike(theirs, ours)
        check_times([one for one in theirs if one.scores is None])
        # SGLang takes a written <image> for the mark of a picture, whatever the family's own is.
        none, marked, fine = model.batch(
            [ask(tmp_path / "none.png"), ask(picture(64, 80), text="<image>"), ask(picture(64, 80))]
        )
        assert none.error is not None and "none.png" in none.error
        assert marked.error is not None and "2 image placeholders" in marked.error
        assert fine.error is None and fine.text == theirs[0].text
    finally:
        model.close()


SCRIPT = """
import sys
from engines import SGLANG
from steelyard import open_model
from steelyard.errors import ModelError
if __name__ == "__main__":
    try:
        open_model("sglang", path=sys.argv[1], **SGLANG)
    except ModelError as error:
        print("TOLD", error)
"""


def test_an_engine_that_cannot_be_opened_does_not_end_its_process(tmp_path: Path) -> None:
    # SGLang has no SmolVLM of its own, and goes a way that needs a GPU.
    folder = write_vision_model("smolvlm", tmp_path / "smolvlm")
    (tmp_path / "opening.py").write_text(SCRIPT)
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, tmp_path / "opening.py", folder],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "TOLD a process of SGLang failed" in done.stdout
