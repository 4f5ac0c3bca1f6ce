"""Any object that answers a question about pictures as a model.

    class Reader:
        def predict_on_image(self, image, question): ...        one picture
        def predict_on_images(self, images, question): ...      several

Pictures are given as PIL images, upright and RGB; the second argument may have any name. The
question is the text of the last turn of the user. Turns before it come before it, as text; the
system's turn too, unless the object has a `system_prompt` of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from steelyard.errors import UsageError
from steelyard.media.images import Image, as_image
from steelyard.models.functions import FunctionModel
from steelyard.types import Part, Prompt, Request, Response

_ONE, _SEVERAL = "predict_on_image", "predict_on_images"


def is_predictor(thing: Any) -> bool:
    """Whether an object or a class answers questions about pictures."""
    return callable(getattr(thing, _ONE, None)) or callable(getattr(thing, _SEVERAL, None))


class Predictor(FunctionModel):
    """An object with predict_on_image and predict_on_images, asked one question at a time."""

    metered = True

    def __init__(self, thing: Any) -> None:
        super().__init__(self._predict, batched=False, batch_size=1, all_params=True)
        # What it is known by: the object's class, source and attributes.
        self._function = thing
        self._thing = thing

    def close(self) -> None:
        """End the thread, and close the object if it can be."""
        super().close()
        close = getattr(self._thing, "close", None)
        if callable(close):
            close()

    def _predict(self, request: Request, **params: Any) -> Response:
        pictures, question = self._read(request.prompt)
        if request.choices is not None:
            raise UsageError(
                f"{self.name} gives no likelihoods of choices", hint="ask it for a letter instead"
            )
        if not pictures:
            raise UsageError(f"{self.name} answers questions about pictures, and there is none")
        alone = len(pictures) == 1 and callable(getattr(self._thing, _ONE, None))
        predict = getattr(self._thing, _ONE if alone else _SEVERAL, None)
        if not callable(predict):
            raise UsageError(f"{self.name} takes one picture, not {len(pictures)}")
        images = [picture.open() for picture in pictures]
        answer = predict(images[0] if alone else images, question, **_named(predict, params))
        if isinstance(answer, (list, tuple)) and len(answer) == 1:
            answer = answer[0]
        if not isinstance(answer, str):
            method = _ONE if alone else _SEVERAL
            return Response(error=f"{self.name}.{method} gave a {type(answer).__name__}, not a text")
        return Response(answer)

    def _read(self, prompt: Prompt) -> tuple[list[Image], str]:
        """The pictures of all turns, and their texts as one."""
        if isinstance(prompt, (str, Mapping)):
            return [], str(prompt)
        own = bool(getattr(self._thing, "system_prompt", None))
        pictures: list[Image] = []
        texts: list[str] = []
        for turn in prompt:
            parts = turn["content"]
            if turn["role"] == "system" and own:
                continue
            if isinstance(parts, str):
                parts = [Part("text", parts)]
            pictures += [as_image(part.data) for part in parts if part.kind == "image"]
            texts.append("".join(str(part.data) for part in parts if part.kind == "text"))
        return pictures, "\n\n".join(filter(None, texts))


def name_after(make: Callable[..., Any], options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Options for the maker of a predictor: with the name that its constructor wants, if none is given."""
    if "model_name" in options or not takes_option(make, "model_name"):
        return options
    return {"model_name": make.__name__, **options}


def takes_option(make: Callable[..., Any], name: str) -> bool:
    """Whether a class takes an option of this name, itself or by handing it on to what it is made of."""
    for base in inspect.getmro(make) if inspect.isclass(make) else ():
        if "__init__" in vars(base) and base is not object:
            parameters = inspect.signature(vars(base)["__init__"]).parameters
            if name in parameters:
                return True
            if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
                return False
    return False


def _named(method: Callable[..., Any], params: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters that a method names besides the pictures and the question."""
    named: Sequence[str] = list(inspect.signature(method).parameters)[2:]
    return {name: value for name, value in params.items() if name in named}
