"""A foreign package as people write them for document 4: nothing in it knows of the engine."""

from __future__ import annotations

from pathlib import Path

FOREIGN = '''
from model_interface.model_interface import ModelInterface


class InvoiceReader(ModelInterface):
    """Names the class and prompt as other packages do."""

    def __init__(self, model_name: str, system_prompt: str, cache_dir: str) -> None:
        super().__init__(model_name, system_prompt, cache_dir)
        self.framework = "Hugging Face"
        self.asked = []

    def predict_on_image(self, image, prompt):
        self.asked.append(prompt)
        red, green, blue = image.convert("RGB").getpixel((0, 0))
        return "red" if red > blue else "blue"

    def predict_on_images(self, images, prompt):
        return f"{self.system_prompt}: {len(images)} {prompt}"


class Handing(InvoiceReader):
    def __init__(self, pixels=1, **kwargs):
        super().__init__(**kwargs)


class Nameless:
    def __init__(self, system_prompt, cache_dir):
        self.words = (system_prompt, cache_dir)


class Half(ModelInterface):
    def predict_on_image(self, image, prompt):
        return ""
'''


def write_package(folder: Path, *, name: str = "readers") -> Path:
    """A package of one module, and its folder."""
    package = folder / name
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "module.py").write_text(FOREIGN)
    return package
