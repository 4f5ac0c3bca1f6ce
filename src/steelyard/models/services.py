"""A service that speaks the OpenAI protocol: OpenAI, vLLM, SGLang, llama.cpp, mlx-lm and others.

open_openai("http://127.0.0.1:8000/v1", model="Qwen/Qwen2.5-VL-7B-Instruct", params={"top_k": 1})
open_openai(model="gpt-4o-mini")                # OPENAI_BASE_URL, OPENAI_API_KEY
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import msgspec

from steelyard.errors import ModelError, UsageError
from steelyard.models.credentials import Auth
from steelyard.models.http import HttpModel
from steelyard.wire.openai import OpenAI

_OWN = "https://api.openai.com/v1"
_ADDRESS, _KEY = "OPENAI_BASE_URL", "OPENAI_API_KEY"


def open_openai(
    url: str | None = None,
    *,
    model: str | None = None,
    api_key: str | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
    params: Mapping[str, Any] | None = None,
    detail: str | None = None,
    stream: bool = False,
    auth: Auth = "bearer",
    headers: Mapping[str, str] | None = None,
    timeout: float = 600.0,
    retries: int = 2,
    backoff: float = 0.5,
    retry_statuses: Collection[int] | None = None,
    rate_limit: float | None = None,
    verify: bool | str = True,
    concurrency: int = 32,
) -> HttpModel:
    """A chat service; without `model` the only one that it lists, without `url` OpenAI's own.

    What is not said of an answer (max_tokens, temperature, …) the service decides; `params` holds
    whatever else it understands. With `stream` the time of the first and of every other piece is known.
    """
    address = url or os.environ.get(_ADDRESS) or _OWN
    if api_key is None and (url is None or urlsplit(url).hostname == urlsplit(_OWN).hostname):
        # Not for any other address: the key would go to whoever listens there.
        api_key = os.environ.get(_KEY)
    sampling = {"max_tokens": max_tokens, "temperature": temperature, **(params or {})}
    answers = {name: value for name, value in sampling.items() if value is not None}

    def connect(name: str | None) -> HttpModel:
        return HttpModel(
            address,
            wire=OpenAI(model=name, params=answers, detail=detail, stream=stream),
            api_key=api_key,
            auth=auth,
            headers=headers,
            timeout=timeout,
            retries=retries,
            backoff=backoff,
            retry_statuses=retry_statuses,
            rate_limit=rate_limit,
            verify=verify,
            concurrency=concurrency,
            name=name,
        )

    if model is None:
        model = _find_model(connect(None))
    return connect(model)


def _find_model(service: HttpModel) -> str:
    """The name of the model that a service has, if it says one."""
    path = urlsplit(service.url).path.removesuffix("/chat/completions") + "/models"
    try:
        # On a thread, because whoever opens a model may be inside a loop.
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(asyncio.run, service.fetch(path)).result()
        listed = msgspec.json.decode(answer.body)["data"]
        names = [str(entry["id"]) for entry in listed if not entry.get("parent")]
    except (
        ModelError,
        msgspec.DecodeError,
        UnicodeDecodeError,
        LookupError,
        TypeError,
        AttributeError,
    ) as odd:
        raise ModelError(
            f"{service.name} does not say which models it has: {odd}", hint="model=NAME"
        ) from odd
    finally:
        service.close()
    if len(names) != 1:
        shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
        raise UsageError(f"{service.name} has {len(names)} models", hint=f"model=NAME; {shown or 'none'}")
    return names[0]
