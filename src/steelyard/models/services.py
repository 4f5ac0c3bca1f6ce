"""Services by what they speak: `open_http(url)` finds out, the others are told.

open_http("http://127.0.0.1:8000")              # asks it which protocol it speaks
open_openai("http://127.0.0.1:8000/v1", model="Qwen/Qwen2.5-VL-7B-Instruct", params={"top_k": 1})
open_openai(model="gpt-4o-mini")                # OPENAI_BASE_URL, OPENAI_API_KEY
open_tgi("http://127.0.0.1:8080")

Options are those of the protocol (model, params, stream, likelihood, …) and those of HttpModel (timeout,
retries, rate_limit, concurrency, headers, …).
"""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from difflib import get_close_matches
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from steelyard.errors import ModelError, UsageError
from steelyard.masking import mask_url
from steelyard.models.client import Client
from steelyard.models.endpoints import find_forms, guess_wire, is_bare
from steelyard.models.http import HttpModel
from steelyard.plugins import resolve
from steelyard.wire.base import Wire

T = TypeVar("T")

_OWN = "https://api.openai.com/v1"
_ADDRESS, _KEY = "OPENAI_BASE_URL", "OPENAI_API_KEY"
_SAMPLING = ("max_tokens", "temperature")
# What whoever looks at a service before it is opened must know of it.
_REACHING = ("headers", "api_key", "auth", "verify", "cert", "proxy", "connect_timeout")


def open_http(url: str, *, wire: str | Wire | None = None, **options: Any) -> HttpModel:
    """A service at an address; without `wire` what is spoken there is found out, and is plain lists else."""
    if wire is not None:
        return open_service(url, wire=wire, **options)
    spoken, remark = guess_wire(url), ""
    if spoken is None and is_bare(url):
        forms = _look(url, options)
        if forms:
            url, spoken = forms[0].url, forms[0].wire
            remark = f"{mask_url(url)} speaks {forms[0].words}"
    opened = open_service(url, wire=spoken or "plain", **options)
    if remark:
        opened.remarks = (f"{remark}: asked at {opened.url}",)
    return opened


def open_service(url: str, *, wire: str | Wire, **options: Any) -> HttpModel:
    """A service that speaks a known protocol; options of an answer go with every question."""
    if isinstance(wire, str) and wire.startswith("openai"):
        return open_openai(url, wire=wire, **options)
    return _open(url, wire, options)


def open_openai(
    url: str | None = None,
    *,
    model: str | None = None,
    api_key: str | None = None,
    wire: str = "openai",
    **options: Any,
) -> HttpModel:
    """A service of the OpenAI protocol: the one `model` that it lists, without `url` OpenAI's own.

    What is not said of an answer (max_tokens, temperature, …) the service decides; `params` holds whatever
    else it understands. With `stream` the time of the first and of every other piece is known.
    """
    address = url or os.environ.get(_ADDRESS) or _OWN
    if api_key is None and (url is None or urlsplit(url).hostname == urlsplit(_OWN).hostname):
        # Not for any other address: the key would go to whoever listens there.
        api_key = os.environ.get(_KEY)
    options = {**options, "api_key": api_key}
    if model is None:
        model = _find_model(_open(address, wire, options))
    return _open(address, wire, {**options, "model": model})


def open_completions(url: str | None = None, **options: Any) -> HttpModel:
    """A service of the OpenAI protocol that goes on with texts."""
    return open_openai(url, wire="openai-completions", **options)


def open_tgi(url: str, **options: Any) -> HttpModel:
    """A service of text-generation-inference."""
    return open_service(url, wire="tgi", **options)


def open_triton(url: str, **options: Any) -> HttpModel:
    """A model that Triton's generate goes on with."""
    return open_service(url, wire="triton", **options)


def open_kserve(url: str, **options: Any) -> HttpModel:
    """A model behind KServe's v2 infer, as Triton has it too."""
    return open_service(url, wire="kserve", **options)


def open_mindie(url: str, **options: Any) -> HttpModel:
    """A service of MindIE."""
    return open_service(url, wire="mindie", **options)


def _open(url: str, wire: str | Wire, options: Mapping[str, Any]) -> HttpModel:
    """A service by its protocol, each option given to whichever of the two takes it."""
    given = dict(options)
    made: Wire
    if isinstance(wire, Wire):
        made = wire
    else:
        make = resolve("wires", wire)
        known = inspect.signature(make).parameters
        _check(wire, given, [*known, *(_SAMPLING if "params" in known else ())])
        own = {name: given.pop(name) for name in list(given) if name in known}
        if "params" in known:
            sampling = {name: given.pop(name, None) for name in _SAMPLING} | dict(own.get("params") or {})
            own["params"] = {name: value for name, value in sampling.items() if value is not None}
        made = make(**own)
    given.setdefault("name", getattr(made, "model", None))
    return HttpModel(url, **{**given, "wire": made})


def _check(wire: str, options: Mapping[str, Any], known: list[str]) -> None:
    """Refuse an option that neither the protocol nor HTTP has."""
    known += [name for name in inspect.signature(HttpModel).parameters if name not in ("url", "wire")]
    for option in options:
        if option not in known:
            near = get_close_matches(option, known, n=1) or known
            raise UsageError(
                f"a service of the wire {wire} has no option {option!r}", hint="it has " + ", ".join(near)
            )


def _look(url: str, options: Mapping[str, Any]) -> list[Any]:
    """The protocols that a service speaks; none where it cannot be reached, which asking it will tell."""
    known = inspect.signature(Client).parameters
    client = Client(url, **{name: options[name] for name in _REACHING if name in options and name in known})
    try:
        with suppress(ModelError):
            return run_apart(find_forms(client))
        return []
    finally:
        client.close()


def _find_model(service: HttpModel) -> str:
    """The name of the model that a service has, if it says one."""
    path = urlsplit(service.wire.locate(service.url)).path
    for ending in ("/chat/completions", "/completions", "/embeddings"):
        path = path.removesuffix(ending)
    try:
        names = run_apart(_list_models(service, path + "/models"))
    finally:
        service.close()
    if len(names) != 1:
        shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
        raise UsageError(f"{service.name} has {len(names)} models", hint=f"model=NAME; {shown or 'none'}")
    return names[0]


async def _list_models(service: HttpModel, path: str) -> list[str]:
    try:
        listed = msgspec.json.decode((await service.fetch(path)).body)["data"]
        return [str(entry["id"]) for entry in listed if not entry.get("parent")]
    except (
        ModelError,
        msgspec.DecodeError,
        UnicodeDecodeError,
        LookupError,
        TypeError,
        AttributeError,
    ) as odd:
        why = await service.doubt(str(odd)) if isinstance(odd, ModelError) else None
        message = f"{service.name} does not say which models it has: {odd}"
        raise (why or ModelError(message, hint="model=NAME")) from odd


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run async code from wherever a model is opened, which may be inside a loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        # Where it can be interrupted: nobody can end a thread.
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
