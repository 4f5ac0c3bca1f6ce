"""Addresses of services, as configurations give them.

find_base("", host="::1", port=8080, tls=False)                http://[::1]:8080/
join_path("http://host/v1/", "v1/models")                      http://host/v1/models
join_path("http://host/v1/chat/completions/", "v1/models")     http://host/v1/models
"""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


def find_base(url: str, *, host: str, port: int | str, tls: bool) -> str:
    """The address that paths are put behind: the one given, or that of a host and a port."""
    scheme = "https" if tls else "http"
    if url:
        whole = url if "://" in url else f"{scheme}://{url}"
        parts = urlsplit(whole)
        return whole if parts.query else whole.rstrip("/") + "/"
    shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"{scheme}://{shown}:{port}/"


def join_path(base: str, path: str) -> str:
    """A path behind an address, in the place of what the address has of it or of a neighbour already."""
    parts = urlsplit(base)
    there, first = parts.path.strip("/").split("/"), path.partition("/")[0]
    kept = there[: len(there) - 1 - there[::-1].index(first)] if first in there else there
    whole = "/".join([*filter(None, kept), path])
    return urlunsplit(parts._replace(path=f"/{whole}"))
