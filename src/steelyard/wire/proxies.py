"""Which proxy stands between here and a service: the one that is named, else as the environment says.

HTTP_PROXY=http://user:password@proxy:3128   for http://…, HTTPS_PROXY for https://…, ALL_PROXY for both
NO_PROXY=localhost,.internal,10.0.0.0/8      where none does
"""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from steelyard.errors import UsageError
from steelyard.wire.addresses import Address


class Proxy(NamedTuple):
    """A proxy; `signing` holds the headers that it wants of us, `secrets` what must not show."""

    host: str
    port: int
    signing: Mapping[str, str]
    secrets: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """How it is called."""
        return f"{self.host}:{self.port}"


def find_proxy(address: Address, proxy: str | bool | None) -> Proxy | None:
    """The proxy on the way to an address: the given one; with None by the environment, with False none."""
    if proxy is False or address.scheme == "unix":
        return None
    if isinstance(proxy, str) and proxy:
        return _read(proxy)
    if proxy is True:
        raise UsageError("proxy=true names no proxy", hint="proxy=http://host:3128")
    named = _named(f"{address.scheme}_proxy") or _named("all_proxy")
    if not named or _is_exempt(address, _named("no_proxy")):
        return None
    return _read(named if "://" in named else f"http://{named}")


def _named(name: str) -> str:
    # A web server hands a header called Proxy to its programs as HTTP_PROXY.
    upper = "" if name == "http_proxy" and "REQUEST_METHOD" in os.environ else name.upper()
    return (os.environ.get(name) or os.environ.get(upper) or "").strip()


def _is_exempt(address: Address, exempt: str) -> bool:
    for entry in filter(None, (entry.strip().lower() for entry in exempt.split(","))):
        if entry == "*":
            return True
        name, colon, port = entry.rpartition(":")
        if colon and port.isdecimal() and (":" not in name or name.endswith("]")):
            if int(port) != address.port:
                continue
            entry = name  # noqa: PLW2901 - what is left of it
        entry = entry.strip("[]").removeprefix("*").removeprefix(".")  # noqa: PLW2901
        if address.host == entry or address.host.endswith("." + entry):
            return True
        if _is_within(address.host, entry):
            return True
    return False


def _is_within(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _read(url: str) -> Proxy:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme != "http" or not parts.hostname or port == 0:
        # Not shown as it is: there may be a password in it.
        shown = f"{parts.scheme}://{parts.hostname}" if parts.scheme and parts.hostname else "that"
        raise UsageError(f"{shown} is not a proxy that is spoken to here", hint="http://host:3128")
    signing: dict[str, str] = {}
    secrets: tuple[str, ...] = ()
    if parts.username is not None:
        user, password = unquote(parts.username), unquote(parts.password or "")
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        signing = {"Proxy-Authorization": f"Basic {token}"}
        secrets = (password or user, parts.password or parts.username, token)
    return Proxy(parts.hostname, port or 80, signing, secrets)
