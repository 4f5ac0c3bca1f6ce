"""The models that are in the factory from the start: any model of the engine that sees pictures."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from model_interface.model_interface import ModelInterface
from steelyard.engine import answer
from steelyard.errors import ModelError, UsageError
from steelyard.media.images import Image, as_image, as_images
from steelyard.models.base import Model
from steelyard.models.references import open_model
from steelyard.types import Message, Part, Request, Response

_SAMPLING = frozenset(
    {"max_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "stop", "repetition_penalty"}
)
_KEPT = 1000


class EngineModel(ModelInterface):
    """A model of the engine. What shapes answers goes with every question, other options to the engine.

    `responses` holds the last thousand answers with their times, tokens and costs, `measurements` the
    figures that are most asked for.
    """

    name, kind, engine = "", "", ""

    def __init__(
        self,
        model_name: str,
        system_prompt: str = "",
        cache_dir: str = "",
        *,
        params: Mapping[str, Any] | None = None,
        allow_remote_images: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(model_name, system_prompt, cache_dir)
        sampling = {name: options.pop(name) for name in _SAMPLING & options.keys()}
        self._params = {**(params or {}), **sampling}
        self._remote = allow_remote_images
        self.framework = self.kind
        self.responses: deque[Response] = deque(maxlen=_KEPT)
        self._model = self._open(options)

    def predict_on_image(self, image: Any, question: str | None = None, *, prompt: str | None = None) -> str:
        """The answer to a question about one picture."""
        return self._ask([as_image(image, remote=self._remote)], question, prompt)

    def predict_on_images(
        self, images: Sequence[Any], question: str | None = None, *, prompt: str | None = None
    ) -> str:
        """The answer to a question about several pictures; a PDF is its pages."""
        return self._ask(as_images(images, remote=self._remote), question, prompt)

    @property
    def measurements(self) -> list[dict[str, Any]]:
        """Of each answer kept: seconds, those to its first token and for each other, tokens, rate, cost."""
        return [_measure(response) for response in self.responses]

    def close(self) -> None:
        """Give back memory and connections."""
        self._model.close()

    def __enter__(self) -> EngineModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, options: Mapping[str, Any]) -> Model:
        """The engine's model of a folder or a name on the hub."""
        if self.model_name == self.name:
            raise UsageError(
                f"{self.name} needs 'model_name' in its parameters", hint="a folder, or a name on the hub"
            )
        kept = {"cache_dir": self.cache_dir} if self.cache_dir else {}
        return open_model(self.engine, path=self.model_name, **kept, **options)

    def _ask(self, images: Sequence[Image], question: str | None, prompt: str | None) -> str:
        text = prompt if question is None else question
        if text is None:
            raise TypeError("the question is missing")
        turns: list[Message] = []
        if self.system_prompt:
            turns.append({"role": "system", "content": self.system_prompt})
        shown = [Part("image", image) for image in images]
        turns.append({"role": "user", "content": [*shown, Part("text", text)]})
        (response,) = answer(self._model, [Request(id="0", prompt=turns, params=self._params)])
        self.responses.append(response)
        if response.error is not None:
            raise ModelError(response.error)
        return response.text


class HuggingFaceVL(EngineModel):
    """A vision-language folder or hub name through transformers."""

    name, kind, engine = "hf-vl", "Hugging Face", "huggingface"


class VLLMVL(EngineModel):
    """A vision-language folder or hub name through vLLM, in this process."""

    name, kind, engine = "vllm-vl", "vLLM", "vllm"


class OpenAIVL(EngineModel):
    """A service that speaks the OpenAI protocol at `url`; `model_name` is its name for the model."""

    name, kind, engine = "openai-vl", "OpenAI", "openai"

    def _open(self, options: Mapping[str, Any]) -> Model:
        return _ask_service(self, options)


class SGLangVL(EngineModel):
    """A vision-language model through SGLang: its server at `url`, else its engine in this process."""

    name, kind, engine = "sglang-vl", "SGLang", "sglang"

    def _open(self, options: Mapping[str, Any]) -> Model:
        if "url" not in options:
            return super()._open(options)
        return _ask_service(self, options)


READY: Mapping[str, type[EngineModel]] = {
    made.name: made for made in (HuggingFaceVL, VLLMVL, SGLangVL, OpenAIVL)
}


def _ask_service(door: EngineModel, options: Mapping[str, Any]) -> Model:
    named = None if door.model_name == door.name else door.model_name
    # In a stream, so that the time to the first token is known.
    return open_model("openai", model=named, **{"stream": True, **options})


def _measure(response: Response) -> dict[str, Any]:
    timing, tokens = response.timing, response.tokens
    seconds = timing.latency if timing is not None else None
    out = tokens.output if tokens is not None else None
    return {
        "seconds": seconds,
        "ttft": timing.ttft if timing is not None else None,
        "tpot": timing.tpot(out) if timing is not None and out else None,
        "tokens_in": tokens.input if tokens is not None else None,
        "tokens_out": out,
        "tokens_per_second": out / seconds if out and seconds else None,
        "cost": response.cost,
        "error": response.error,
    }
