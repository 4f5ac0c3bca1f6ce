"""The code blocks of document 4 run as they stand there, with a package made for the purpose."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from model_interface.model_factory import ModelFactory

PIL = pytest.importorskip("PIL.Image")

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "tests" / "documents" / "4-vlm-model-interface.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
MODULE = """
from model_interface.model_interface import ModelInterface


class MyModelClass(ModelInterface):
    def predict_on_image(self, image, question):
        return f"{self.model_name} | {self.system_prompt} | {self.cache_dir} | {image.size} | {question}"

    def predict_on_images(self, images, question):
        return f"{len(images)} | {question}"
"""


def test_the_blocks_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(BLOCKS) == 3
    package = tmp_path / "my_ml_models"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "module.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(ModelFactory, "_models", dict(ModelFactory._models))
    shown = [PIL.new("RGB", (4, 2), colour) for colour in ("red", "green", "blue")]
    space: dict[str, Any] = dict(zip(("image_object", "img1", "img2"), shown))
    try:
        for block in BLOCKS:
            exec(block, space)
    finally:
        for name in ("my_ml_models", "my_ml_models.module"):
            sys.modules.pop(name, None)
    assert space["result"] == (
        "my_custom_model | Ты — эксперт по документам | /tmp/model_cache | (4, 2) | Что изображено на фото?"
    )
    assert space["results"] == "2 | Сравни эти документы"


def test_the_files_stand_where_it_says() -> None:
    for name in ("model_factory.py", "model_interface.py", "model_utils.py"):
        assert name in PAGE.read_text()
        assert (ROOT / "doors" / "model_interface" / name).is_file()
