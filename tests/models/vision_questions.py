"""Drawn pictures and questions about them, as Requests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from steelyard.models.huggingface import load_huggingface
from steelyard.models.vision import VisionModel
from steelyard.types import Message, Part, Request, Response

ANSWERS = 8


def draw(width: int, height: int, *, seed: int) -> Image.Image:
    """A picture with a few large shapes."""
    picture = Image.new("RGB", (width, height), (seed * 67 % 256, seed * 29 % 256, 200))
    pen = ImageDraw.Draw(picture)
    for step in range(3):
        x, y = (seed * 31 + step * 53) % width, (seed * 17 + step * 71) % height
        pen.rectangle(
            (x // 2, y // 2, x, y), fill=((step * 90 + seed * 40) % 256, 255 - step * 80, seed * 50 % 256)
        )
    return picture


PICTURES = [draw(120, 80, seed=1), draw(300, 100, seed=2), draw(64, 200, seed=3), draw(97, 61, seed=4)]
QUESTIONS: list[tuple[list[int], str]] = [
    ([0], "What?"),
    ([1], "What is the colour of the square in the picture?"),
    ([2, 0], "Compare."),
    ([], "Which total does the document show?"),
    ([3, 1, 2], "Which page comes first, and which colour has it?"),
]


def turns(pictures: Sequence[Any], text: str, *, system: str = "Be brief.") -> list[Message]:
    content = [*(Part("image", picture) for picture in pictures), Part("text", text)]
    user: Message = {"role": "user", "content": content}
    return [{"role": "system", "content": system}, user] if system else [user]


def ask(questions: Sequence[tuple[list[int], str]] = QUESTIONS, **fields: Any) -> list[Request]:
    return [
        Request(str(place), turns([PICTURES[one] for one in shown], text), **fields)
        for place, (shown, text) in enumerate(questions)
    ]


def say(responses: Sequence[Response]) -> list[str]:
    assert [response.error for response in responses] == [None] * len(responses)
    return [response.text for response in responses]


def load(folder: Path, **options: Any) -> VisionModel:
    model = load_huggingface(folder, **{"device": "cpu", "max_tokens": ANSWERS, **options})
    assert isinstance(model, VisionModel)
    return model
