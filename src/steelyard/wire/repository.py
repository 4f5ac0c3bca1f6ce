"""What Triton's generate and KServe's infer share: models by name below /v2, and what is told of them.

Place.of("http://h:8000/v2/models/llm")         address http://h:8000, model llm
describe_models("/v2/models/llm", ["llm"])      {"name": "llm", "versions": ["1"], "inputs": […], …}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from steelyard.errors import DataError, UsageError
from steelyard.types import Prompt
from steelyard.wire.openai_errors import decode_json
from steelyard.wire.texts import TextWire, as_text

VERSION = "1"
"""Every model that is served has this one."""
_PLACE = re.compile(
    r"(?P<before>.*?)(?:/v2(?:/models/(?P<model>.+?)(?:/versions/(?P<version>[^/]+))?"
    r"(?:/(?P<verb>generate|generate_stream|infer|ready|config))?)?)?/*"
)
_INPUT, _OUTPUT = "text_input", "text_output"
# What models behind Triton call what we call otherwise.
_OURS = {"max_new_tokens": "max_tokens", "stop_words": "stop", "random_seed": "seed"}
_EMPTY: tuple[Any, ...] = ({}, [], "", [""], None)


class Place(NamedTuple):
    """A path of the protocol: what is before it, the model and version that it names, and the verb."""

    before: str
    model: str | None
    version: str | None
    verb: str | None

    @classmethod
    def of(cls, path: str) -> Place:
        """The place that a path names."""
        found = _PLACE.fullmatch(path)
        if found is None:
            return cls(path, None, None, None)
        name = found["model"]
        return cls(found["before"], name and unquote(name), found["version"], found["verb"])


class RepositoryWire(TextWire):
    """A protocol whose calls name a model; `input` and `output` are the tensors of a text and its answer.

    `names` say what a model calls a parameter that we call otherwise. A model that has `echoed` the
    prompt before its answer has it cut off.
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        version: str | None = None,
        params: Mapping[str, Any] | None = None,
        names: Mapping[str, str] | None = None,
        stream: bool = False,
        input: str = _INPUT,  # noqa: A002 - what the protocol calls it
        output: str = _OUTPUT,
        echoed: bool = False,
    ) -> None:
        super().__init__(model=model, params=params, stream=stream)
        self.version, self.names = version, dict(names or {})
        self.input, self.output, self.echoed = input, output, echoed

    def identity(self) -> Mapping[str, Any]:
        """The protocol, the model, what goes with every request, and by which names."""
        own = {name: getattr(self, name) for name in ("version", "names", "input", "output", "echoed")}
        return {**super().identity(), **own}

    def locate_verb(self, url: str, verb: str) -> str:
        """Where a verb of the model is at a service's address, which may name the model."""
        parts = urlsplit(url)
        before, named, version, _ = Place.of(parts.path)
        model, version = self.model or named, self.version or version
        if model is None:
            raise UsageError("the protocol asks a model by its name", hint="model=NAME")
        path = f"{before}/v2/models/{quote(model)}{f'/versions/{version}' if version else ''}/{verb}"
        return urlunsplit(parts._replace(path=path))

    def cut(self, text: str, prompt: Prompt) -> str:
        """An answer without the prompt that the model has before it."""
        return text.removeprefix(as_text(prompt)) if self.echoed and not isinstance(prompt, Mapping) else text

    def describe(self, path: str, models: Sequence[str]) -> Any:
        """What a server tells of itself and of its models."""
        return describe_models(path, models)


def describe_models(path: str, models: Sequence[str]) -> Any:
    """What a server with these models says at a path of the protocol; None where it has none."""
    if path.rstrip("/") == "/v2":
        return {
            "name": "steelyard",
            "version": VERSION,
            "extensions": ["model_repository", "model_configuration", "binary_tensor_data", "parameters"],
        }
    if path in ("/v2/health/live", "/v2/health/ready"):
        return {path.rpartition("/")[2]: True}
    if path == "/v2/repository/index":
        return [{"name": name, "version": VERSION, "state": "READY"} for name in models]
    place = Place.of(path)
    if place.model not in models or place.version not in (None, VERSION):
        return None
    about: dict[str | None, Any] = {
        None: {
            "name": place.model,
            "versions": [VERSION],
            "platform": "steelyard",
            "inputs": [{"name": _INPUT, "datatype": "BYTES", "shape": [-1, 1]}],
            "outputs": [{"name": _OUTPUT, "datatype": "BYTES", "shape": [-1, 1]}],
        },
        "ready": {"name": place.model, "ready": True},
        "config": {
            "name": place.model,
            "platform": "steelyard",
            "backend": "steelyard",
            "max_batch_size": 1,
            "input": [{"name": _INPUT, "data_type": "TYPE_STRING", "dims": [1]}],
            "output": [{"name": _OUTPUT, "data_type": "TYPE_STRING", "dims": [1]}],
        },
    }
    return about.get(place.verb)


def read_parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by our names, without those that say nothing."""
    given = dict(given)
    more = given.pop("sampling_parameters", None)
    if more:
        found = decode_json(more.encode()) if isinstance(more, str) else more
        if not isinstance(found, dict):
            raise DataError("sampling_parameters is no object")
        given.update(found)
    dropped = ("stream", "bad_words")
    if given.get("bad_words") not in _EMPTY:
        raise DataError("bad_words is not known here")
    return {
        _OURS.get(name, name): value
        for name, value in given.items()
        if name not in dropped and value not in _EMPTY
    }
