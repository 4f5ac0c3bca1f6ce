"""ModelInterface: what every model of the factory answers to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any


class ModelInterface(ABC):
    """A vision-language model: pictures and a question in, a text out.

    A package of yours derives from it, calls this constructor, says its `framework`, and writes the
    two methods; their second argument may as well be called `prompt`.
    """

    def __init__(self, model_name: str, system_prompt: str, cache_dir: str) -> None:
        self.model_name = model_name
        self.system_prompt = system_prompt
        self.cache_dir = cache_dir
        self.framework = ""

    @abstractmethod
    def predict_on_image(self, image: Any, question: str) -> str:
        """The answer to a question about one picture."""

    @abstractmethod
    def predict_on_images(self, images: Sequence[Any], question: str) -> str:
        """The answer to a question about several pictures."""
