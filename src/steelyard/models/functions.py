"""Any Python callable as a model.

    def answer(prompt): ...                     asked item by item, so that one bad item fails alone
    def answer(prompt, max_tokens=16): ...      gets the request's parameters that it names (or **all)
    def answer(request): ...                    gets the whole Request, by the name or the annotation
    async def answer(prompt): ...               many at a time, on the loop
    def answer(batch, **params): ...            a list in, a list out, by the name or `batched=True`
    class Model: def predict(self, inputs): ... the same as a method

A prompt is a text, or the turns of a chat. One with pictures or sounds always comes as turns, and the
content of a turn is then a list of Parts: the `data` of a Part of the kind "image" is an Image (`open()`
gives it upright as PIL's, `url()` as a data: URL), that of the kind "audio" a Sound (`load(16000)` gives
its samples at that rate), that of the kind "text" a text.

An answer is a text, a number, a mapping (text or label, score, error, …), a list of one score a
choice, or a Response.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import marshal
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from steelyard.errors import ModelError, UsageError, describe
from steelyard.models.base import LocalModel, Model, clock
from steelyard.models.credentials import show_options
from steelyard.models.folders import fingerprint
from steelyard.plugins import source_digest
from steelyard.types import Request, Response, Timing
from steelyard.wire.plain import to_response

_SOON = 0.05
# Options that do not shape answers.
_MANNERS = ("batch_size", "workers")
_PLAIN = (str, int, float, bool, type(None))


class FunctionModel(LocalModel):
    """A callable, or an object with `predict`, hung on the beam."""

    def __init__(
        self,
        function: Any,
        *,
        batched: bool | None = None,
        batch_size: int = 32,
        workers: int = 1,
        all_params: bool = False,
    ) -> None:
        """Read what the function takes; `all_params` gives it also parameters that it does not name."""
        self._call, predicts = _callable(function)
        self._function = function
        first, takes = _read_signature(self._call)
        self._takes = None if all_params else takes
        self._whole = first is not None and _wants_request(first)
        if batched is None:
            batched = predicts or (first is not None and first.name in {"batch", "requests"})
        self._batched = batched
        self._async = _is_async(self._call)
        if batched and (self._async or workers > 1):
            hint = "batched=False, or a plain function with workers=1"
            raise UsageError(f"{self.name} is asked in batches, so on one thread", hint=hint)
        if workers < 1 or batch_size < 1:
            raise UsageError(f"workers={workers}, batch_size={batch_size}", hint="both must be at least 1")
        self._pool = ThreadPoolExecutor(workers, self.name) if workers > 1 else None
        self.takes_batches = not self._async and self._pool is None
        if self._async:
            # What it awaits is most often a service, which wants no more at a time than any other.
            self.concurrency = Model.concurrency
        # One that is asked item by item hands its answers over soon, however slow it is.
        self.batch_size = batch_size if batched else 1
        self._most = batch_size

    @property
    def name(self) -> str:
        """The name of the function, or of the object's class."""
        function, _ = _unwrap(self._function)
        return str(getattr(function, "__name__", None) or type(function).__name__)

    def identity(self) -> Mapping[str, Any]:
        """Its module and name, its source, the plain values it is bound to, and the options that made it."""
        options = {name: value for name, value in show_options(self.options).items() if name not in _MANNERS}
        path = options.get("path")
        function, bound = _unwrap(self._function)
        named = function if hasattr(function, "__qualname__") else type(function)
        return {
            "class": f"{type(self).__module__}.{type(self).__qualname__}",
            "function": f"{getattr(named, '__module__', 'builtins')}.{named.__qualname__}",
            "source": source_digest(function),
            "code": _code_digest(function),
            "bound": {key: _plain(value) for key, value in show_options(bound).items()},
            "options": _plain(options),
            "weights": fingerprint(Path(path)) if path is not None and Path(path).exists() else None,
        }

    def under_load(self, *, keep: bool = True) -> Model:
        """The same, whose answers do not wait for each other unless the function takes them together."""
        if not self._batched:
            self.batch_size = self._most = 1
        return super().under_load(keep=keep)

    async def ask(self, request: Request) -> Response:
        """Await an async function, or wait for the thread that answers."""
        if self._async:
            return await self._ask_async(request)
        if self._pool is not None:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._ask_alone, request)
        return await super().ask(request)

    def batch(self, requests: Sequence[Request]) -> Sequence[Response]:
        """Call the function once for all, or for each."""
        if not self._batched:
            begun = clock()
            responses = [self._ask_alone(request) for request in requests]
            quick = (clock() - begun) * 2 < _SOON
            self.batch_size = min(self.batch_size * 2, self._most) if quick else max(self.batch_size // 2, 1)
            return responses
        answers: list[Response | None] = [None] * len(requests)
        for params, indices in _by_params(requests):
            group = [requests[index] for index in indices]
            for index, answer in zip(indices, self._ask_together(group, params)):
                answers[index] = answer
        return [answer for answer in answers if answer is not None]

    def close(self) -> None:
        """End the threads."""
        super().close()
        if self._pool is not None:
            self._pool.shutdown(wait=False)

    def _ask_alone(self, request: Request) -> Response:
        sent = clock()
        try:
            value = self._call(self._given(request), **self._keywords(request.params))
            return _finish(value, sent)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the model boundary: a failure is an answer
            return _finish(Response(error=describe(error)), sent)

    async def _ask_async(self, request: Request) -> Response:
        sent = clock()
        value = await self._call(self._given(request), **self._keywords(request.params))
        return _finish(value, sent)

    def _ask_together(self, requests: Sequence[Request], params: Mapping[str, Any]) -> list[Response]:
        values = self._call([self._given(request) for request in requests], **self._keywords(params))
        if isinstance(values, (str, Mapping, Response)) or not hasattr(values, "__iter__"):
            values = [values]
        responses = [to_response(value) for value in values]
        if len(responses) != len(requests):
            error = f"{self.name} gave {len(responses)} answers to {len(requests)} inputs"
            return [Response(error=error)] * len(requests)
        return responses

    def _given(self, request: Request) -> Any:
        return request if self._whole else request.prompt

    def _keywords(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._takes is None or not params:
            return params
        return {name: value for name, value in params.items() if name in self._takes}


def _finish(value: Any, sent: float) -> Response:
    timing = Timing(sent, sent, (), clock())
    if isinstance(value, str):
        return Response(value, timing=timing)
    response = to_response(value)
    return replace(response, timing=timing) if response.timing is None else response


def _callable(function: Any) -> tuple[Callable[..., Any], bool]:
    """What to call, and whether it is a `predict` over a list."""
    predict = getattr(function, "predict", None)
    if callable(predict) and not inspect.isroutine(function):
        return predict, True
    if callable(function):
        return function, False
    hint = "a function, an object with predict(inputs), or a steelyard.Model"
    raise ModelError(f"a {type(function).__name__} is not a model", hint=hint)


def _read_signature(call: Callable[..., Any]) -> tuple[inspect.Parameter | None, frozenset[str] | None]:
    """The first parameter, and the names of the others; None for all names where it has **keywords."""
    try:
        parameters = list(inspect.signature(call).parameters.values())
    except (TypeError, ValueError):
        # Some built-in functions do not say what they take.
        return None, frozenset()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return (parameters[0] if len(parameters) > 1 else None), None
    named = [p.name for p in parameters[1:] if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}]
    return (parameters[0] if parameters else None), frozenset(named)


def _wants_request(first: inspect.Parameter) -> bool:
    annotation = getattr(first.annotation, "__name__", None)
    if not isinstance(first.annotation, type):
        annotation = str(first.annotation)
    return first.name in {"request", "requests"} or bool(re.search(r"\bRequest\b", str(annotation)))


def _is_async(call: Callable[..., Any]) -> bool:
    call, _ = _unwrap(inspect.unwrap(call))
    # Of an object, the method that is called.
    return inspect.iscoroutinefunction(call if inspect.isroutine(call) else type(call).__call__)


def _unwrap(function: Any) -> tuple[Any, dict[str, Any]]:
    """The function itself, and what it is bound to: arguments of a partial, attributes, a closure."""
    bound: dict[str, Any] = {}
    while isinstance(function, functools.partial):
        bound.update({str(place): value for place, value in enumerate(function.args)}, **function.keywords)
        function = function.func
    owner = getattr(function, "__self__", function)
    if not inspect.isclass(owner) and not inspect.ismodule(owner):
        bound.update(getattr(owner, "__dict__", {}))
    if inspect.isfunction(function):
        bound.update(inspect.getclosurevars(function).nonlocals)
    return function, bound


def _plain(value: Any) -> Any:
    """A value as something that is equal in every process where the value is."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)) and len(value) <= 64:
        return [_plain(item) for item in value]
    if isinstance(value, Mapping) and len(value) <= 64:
        return {str(key): _plain(item) for key, item in value.items()}
    return f"a {type(value).__module__}.{type(value).__qualname__}"


def _code_digest(function: Any) -> str | None:
    """A digest of the compiled code of a function that its name and its file do not tell from others."""
    code = getattr(function, "__code__", None)
    if code is None or ("<lambda>" not in code.co_name and source_digest(function) is not None):
        return None
    return blake2b(marshal.dumps(code), digest_size=12).hexdigest()


def _by_params(requests: Sequence[Request]) -> list[tuple[Mapping[str, Any], list[int]]]:
    """Which of the requests share their parameters, and which parameters these are."""
    groups: list[tuple[Mapping[str, Any], list[int]]] = []
    for index, request in enumerate(requests):
        for params, indices in groups:
            if params is request.params or params == request.params:
                indices.append(index)
                break
        else:
            groups.append((request.params, [index]))
    return groups
