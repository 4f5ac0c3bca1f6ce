"""Which protocols a service speaks, found by asking for what each has at a known path.

    GET /v1/models           {"data": [{"id": …}]}            openai
    GET /info                {"model_id": …}                  tgi
    GET /v2                  {"name": "triton", …}            triton, kserve

`explain` says what is wrong where a service answers nothing good, and with which option it is mended.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from steelyard.errors import ModelError, SteelyardError, UnknownName
from steelyard.models.client import Client
from steelyard.plugins import reference
from steelyard.wire.base import Wire
from steelyard.wire.origin import NoAddress, RefusedByProxy

_PATIENCE = 10.0
_PROXIES = "proxy=http://USER:PASSWORD@HOST:PORT; proxy=false asks without one"
_PORTS = {"http": 80, "https": 443}
_FAMILY = ("openai", "openai-completions", "openai-embeddings")
_REPOSITORY = ("triton", "kserve")
_WORDS = {
    "openai": "the OpenAI protocol",
    "openai-completions": "the OpenAI protocol's completions",
    "tgi": "TGI's protocol",
    "triton": "Triton's generate",
    "kserve": "KServe's v2 infer",
    "mindie": "MindIE's protocol",
    "plain": "plain lists of inputs",
}


@dataclass(frozen=True)
class Form:
    """A protocol that a service speaks, where, and the models that it lists."""

    wire: str
    url: str
    models: Sequence[str] = ()

    @property
    def words(self) -> str:
        """The protocol as people call it."""
        return _WORDS.get(self.wire, self.wire)

    @property
    def flag(self) -> str:
        """How it is named on the command line."""
        one = f" model={self.models[0]}" if self.models and self.wire in _REPOSITORY else ""
        return f"--model {self.url}" if self.wire == "openai" else f"--model {self.wire} url={self.url}{one}"


async def find_forms(client: Client) -> list[Form]:
    """The protocols that a service speaks, the best first; a ModelError where it cannot be reached."""
    root, path = _split(client.url)
    forms = []
    # A service may stand below a path of its own, with all that it knows.
    for place in dict.fromkeys(("", _before(path))):
        listed = await _get(client, f"{place}/v1/models")
        if isinstance(listed, dict) and isinstance(listed.get("data"), list):
            forms.append(Form("openai", f"{root}{place}/v1", _names(listed["data"])))
        told = await _get(client, f"{place}/info")
        if isinstance(told, dict) and "model_id" in told:
            forms.append(Form("tgi", f"{root}{place}", (str(told["model_id"]),)))
        told = await _get(client, f"{place}/v2")
        if isinstance(told, dict) and "extensions" in told:
            models = _names(await _post(client, f"{place}/v2/repository/index"))
            kinds = _REPOSITORY if told.get("name") == "triton" else ("kserve", "triton")
            forms += [Form(kind, f"{root}{place}", models) for kind in kinds]
    return forms


async def explain(client: Client, wire: Wire, error: str) -> SteelyardError | None:
    """Why a service answers nothing good, as far as that can be found out; None where it cannot."""
    if re.match(r"HTTP 40[13]\b", error):
        return ModelError(f"{client.where} lets nobody in: {error}", hint="api_key=env:NAME")
    if error.startswith("HTTP 407: "):
        return ModelError(error.removeprefix("HTTP 407: "), hint=_PROXIES)
    try:
        forms = await find_forms(client)
    except ModelError as gone:
        return await _explain_connection(client, gone)
    kind, model = reference(type(wire)) or "", getattr(wire, "model", None)
    ours = next((form for form in forms if form.wire == kind or {form.wire, kind} <= {*_FAMILY}), None)
    if ours is not None:
        return _explain_own(client, wire, replace(ours, wire=kind), error, model=model)
    # A list where an object is wanted is refused as such; other refusals may be of this one question.
    refused = r"HTTP 4(00|04|05|15|22)\b" if kind == "plain" else r"HTTP (404|405|415|501)\b"
    if not forms or not re.match(refused + r"|the body is not JSON|.*was expected", error):
        return None
    found, where = forms[0], urlsplit(client.url).netloc
    message = f"{where} speaks {found.words}, and was asked as if it spoke {_WORDS.get(kind, kind)}: {error}"
    return ModelError(message, hint=found.flag)


def _explain_own(client: Client, wire: Wire, form: Form, error: str, *, model: Any) -> SteelyardError | None:
    """What is wrong where the service does speak the protocol."""
    if not re.match(r"HTTP 4(?!29)", error):
        return None
    if model and form.models and model not in form.models:
        return UnknownName(
            f"model at {urlsplit(client.url).netloc} called", model, form.models, hint="model=NAME"
        )
    if urlsplit(wire.locate(form.url)).path == urlsplit(client.url).path:
        if form.wire not in _FAMILY[1:] or not re.match(r"HTTP 40[45]\b", error):
            return None
        what = form.wire.removeprefix("openai-")
        message = f"{client.where} answers {error}: it lists models, and has no {what}"
        return ModelError(message, hint=replace(form, wire="openai").flag)
    return ModelError(f"{client.where} answers {error}; {form.words} is spoken at {form.url}", hint=form.flag)


def guess_wire(url: str) -> str | None:
    """The protocol that is spoken at addresses of this form; None where they say nothing."""
    path = _split(url)[1].rstrip("/")
    if re.search(r"/v2/models/[^/]+(/versions/[^/]+)?/", path):
        return "kserve" if path.endswith("/infer") else "triton"
    if path.endswith(("/v1", "/chat/completions")):
        return "openai"
    return "openai-completions" if path.endswith("/v1/completions") else None


def is_bare(url: str) -> bool:
    """Whether an address names a service, and nothing of what is spoken there."""
    return _split(url)[1].rstrip("/") in ("", "/generate", "/generate_stream", "/infer")


async def _explain_connection(client: Client, gone: ModelError) -> SteelyardError | None:
    cause, parts = gone.__cause__, urlsplit(client.url)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return ModelError(
            str(gone), hint="verify=FILE names who signed its certificate; verify=false trusts it"
        )
    if isinstance(cause, RefusedByProxy):
        return ModelError(str(cause), hint=_PROXIES)
    if isinstance(cause, (ConnectionRefusedError, FileNotFoundError)):
        where = parts.netloc or parts.path.partition(":/")[0]
        return ModelError(f"nobody listens at {where}", hint="is the service up, and is it this address?")
    if isinstance(cause, NoAddress):
        return ModelError(f"there is no host {parts.hostname}", hint="url=…")
    # Whoever does not understand us may understand the other of the two.
    other = {"http": "https", "https": "http"}.get(parts.scheme)
    port = parts.port or _PORTS.get(parts.scheme, 0)
    if other is None or not await asyncio.to_thread(_answers, parts.hostname or "", port, other):
        return None
    speaks = "speaks TLS, and was asked without" if other == "https" else "does not speak TLS"
    return ModelError(f"{parts.netloc} {speaks}", hint=f"url={urlunsplit(parts._replace(scheme=other))}")


def _answers(host: str, port: int, scheme: str) -> bool:
    """Whether whoever listens answers anything in HTTP; nothing of ours is sent."""
    try:
        with socket.create_connection((host, port), _PATIENCE) as plain:
            asked = b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % host.encode()
            if scheme == "http":
                plain.sendall(asked)
                return plain.recv(5) == b"HTTP/"
            trusting = ssl.create_default_context()
            trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
            with trusting.wrap_socket(plain) as sock:
                sock.sendall(asked)
                return sock.recv(5) == b"HTTP/"
    except OSError:
        return False


async def _get(client: Client, path: str) -> Any:
    """What a service says at a path, as JSON; None where it says nothing there."""
    try:
        answer = await asyncio.wait_for(client.fetch(path), _PATIENCE)
        return msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    except asyncio.TimeoutError as error:
        raise ModelError(f"no answer from {client.where} within {_PATIENCE:g} s") from error
    except ModelError as error:
        if error.__cause__ is not None:
            raise
        return None


async def _post(client: Client, path: str) -> Any:
    def read(answer: Any) -> Any:
        return msgspec.json.decode(answer.body)

    try:
        return (await asyncio.wait_for(client.deliver(b"{}", read=read, url=path), _PATIENCE)).value
    except (msgspec.DecodeError, UnicodeDecodeError, asyncio.TimeoutError):
        return None


def _names(listed: Any) -> list[str]:
    """The names in a list of models, without adapters of others."""
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    return [str(entry.get("id") or entry.get("name")) for entry in entries if not entry.get("parent")]


def _split(url: str) -> tuple[str, str]:
    """An address in two: which service, and the path there."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        socket_path, _, path = parts.path.partition(":/")
        return f"unix://{socket_path}:", f"/{path}"
    return urlunsplit((parts.scheme, parts.netloc, "", "", "")), parts.path


def _before(path: str) -> str:
    """What stands in a path before that of any protocol."""
    known = r"/(v1|v2|chat|completions|generate|generate_stream|infer|models)(/.*)?$"
    return re.sub(known, "", path.rstrip("/"), count=1)
