"""Services that count tokens: what they are asked at /tokenize, and how they answer.

{"model": "m", "prompt": "a b"}     {"count": 2, "tokens": [64, 293], …}                vLLM, SGLang
{"content": "a b"}                  {"tokens": [64, 293]}                               llama.cpp
{"inputs": "a b"}                   [{"id": 1, …}, {"id": 64, …}, {"id": 293, …}]       TGI
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter as clock
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from steelyard.errors import DataError, ModelError
from steelyard.models.client import Client
from steelyard.models.services import run_apart
from steelyard.wire.reading import Answer

PATIENCE = 30.0
"""For how many seconds a service is waited for that says nothing."""

_PROBE = "the time of day"
_PATHS = ("/chat/completions", "/completions", "/embeddings", "/generate_stream", "/generate", "/v1")


class _Form(NamedTuple):
    """How one kind of service is asked for the tokens of a text, alone or with those put around it."""

    name: str
    body: Callable[[str, str | None, bool], Mapping[str, Any]]
    chat: Callable[[str, str | None], tuple[str, Mapping[str, Any]]] | None
    path: str = "/tokenize"


def _ask_vllm(text: str, model: str | None, special: bool) -> Mapping[str, Any]:
    return {**({"model": model} if model else {}), "prompt": text, "add_special_tokens": special}


def _ask_vllm_chat(text: str, model: str | None) -> tuple[str, Mapping[str, Any]]:
    turns = {"messages": [{"role": "user", "content": text}], "add_generation_prompt": True}
    return "/tokenize", {**({"model": model} if model else {}), **turns}


def _ask_llama(text: str, model: str | None, special: bool) -> Mapping[str, Any]:
    return {"content": text, "add_special": special}


def _ask_llama_chat(text: str, model: str | None) -> tuple[str, Mapping[str, Any]]:
    return "/apply-template", {"messages": [{"role": "user", "content": text}]}


def _ask_tgi(text: str, model: str | None, special: bool) -> Mapping[str, Any]:
    return {"inputs": text, "add_special_tokens": special}


def _ask_tgi_chat(text: str, model: str | None) -> tuple[str, Mapping[str, Any]]:
    turns = {"messages": [{"role": "user", "content": text}]}
    return "/chat_tokenize", {"model": model or "tgi", **turns}


def _ask_llama_python(text: str, model: str | None, special: bool) -> Mapping[str, Any]:
    return {**({"model": model} if model else {}), "input": text}


_FORMS = (
    _Form("vLLM", _ask_vllm, _ask_vllm_chat),
    _Form("llama.cpp", _ask_llama, _ask_llama_chat),
    _Form("TGI", _ask_tgi, _ask_tgi_chat),
    _Form("llama-cpp-python", _ask_llama_python, None, "/extras/tokenize"),
)


class ServiceTokenizer:
    """The tokenizer of a service, asked over HTTP before a load begins."""

    slow = True

    def __init__(
        self, client: Client, form: _Form, *, below: str, name: str, model: str | None, around: int
    ) -> None:
        self._client, self._form, self._below = client, form, below
        self.name, self._model, self._around = name, model, around

    def identity(self) -> Any:
        """Whose it is."""
        return [self.name, self._form.name, self._model]

    def encode(self, text: str) -> Sequence[int]:
        """A text in tokens, without those that are put around it."""
        found = self._tokens(self._form.body(text, self._model, False))
        # Some put them around every text.
        return found[self._around :]

    def count_special(self, text: str) -> int:
        """How many tokens it has with those that are put around it."""
        return len(self._tokens(self._form.body(text, self._model, True)))

    def count_chat(self, text: str) -> int | None:
        """How many it has in the service's template; None where it does not say."""
        if self._form.chat is None:
            return None
        path, body = self._form.chat(text, self._model)
        try:
            answer = _post(self._client, self._below + path, body)
            if isinstance(answer, dict) and isinstance(answer.get("prompt"), str):
                written: str = answer["prompt"]
                return len(self._tokens({"content": written, "add_special": True, "parse_special": True}))
            if isinstance(answer, dict) and "tokenize_response" in answer:
                answer = answer["tokenize_response"]
            return len(_read_tokens(answer))
        except ModelError:
            return None

    def vocabulary(self) -> Iterable[str]:
        """Nothing: services do not say how their tokens are written."""
        return ()

    def _tokens(self, body: Mapping[str, Any]) -> list[int]:
        return _read_tokens(_post(self._client, self._below + self._form.path, body))


def ask_service(
    client: Client, *, name: str | None = None, model: str | None = None
) -> ServiceTokenizer | None:
    """The tokenizer of a service, where it counts tokens in one of the known ways, and in good time."""
    asking, begun = client.under_load(), clock()
    asking.limits = asking.limits._replace(total=min(PATIENCE, asking.limits.total or PATIENCE))
    path = urlsplit(client.credentials.target).path
    for known in _PATHS:
        path = path.removesuffix(known)
    below = path.rstrip("/")
    for form in _FORMS:
        try:
            tokens = _read_tokens(_post(asking, below + form.path, form.body(_PROBE, model, False)))
            # What a text begins with stands before any two texts alike.
            other = _read_tokens(_post(asking, below + form.path, form.body("I", model, False)))
        except ModelError:
            if clock() - begun >= PATIENCE:
                return None
            continue
        around = next(
            (n for n, (a, b) in enumerate(zip(tokens, other)) if a != b), min(len(tokens), len(other))
        )
        return ServiceTokenizer(
            asking, form, below=below, name=name or client.where, model=model, around=around
        )
    return None


def _post(client: Client, path: str, body: Mapping[str, Any]) -> Any:
    """What a service answers; a ModelError where it is no JSON, or nothing."""

    def read(answer: Answer) -> Any:
        try:
            return msgspec.json.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: the answer is not JSON") from error

    async def ask() -> Any:
        try:
            delivery = await client.deliver(msgspec.json.encode(body), read=read, url=path)
        finally:
            client.close()
        if delivery.value is None:
            raise ModelError(delivery.failure)
        return delivery.value

    return run_apart(ask())


def _read_tokens(answer: Any) -> list[int]:
    """The numbers of the tokens in an answer."""
    listed = answer.get("tokens") if isinstance(answer, dict) else answer
    if isinstance(listed, list) and listed:
        ids: list[Any] = [one.get("id") if isinstance(one, dict) else one for one in listed]
        if all(type(one) is int for one in ids):
            return ids
    raise ModelError("the service does not say which tokens a text has")
