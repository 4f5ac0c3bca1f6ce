"""`steelyard serve`: models behind HTTP until somebody ends it."""

from __future__ import annotations

import sys
from argparse import Namespace
from contextlib import suppress

from steelyard.cli.pairs import masked, read_pairs
from steelyard.cli.screen import printable, show, tell
from steelyard.errors import UsageError
from steelyard.models.base import Model
from steelyard.models.references import open_model
from steelyard.serving.keys import names_key
from steelyard.serving.server import Server

_HERE = ("verb", "home", "debug", "model", "wires", "api_key")


def run(options: Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    told = vars(options)
    given = {name: value for name, value in told.items() if name not in _HERE}
    if "wires" in told:
        given["wires"] = [name for name in told["wires"].split(",") if name]
    if (key := told.get("api_key")) is not None:
        if not names_key(key):
            # Whoever lists the programs of this machine would read it.
            raise UsageError("--api-key says where the key is", hint="env:NAME or file:PATH")
        given["api_key"] = key
    _raise_limit()
    models: dict[str, Model] = {}
    try:
        for named in told["model"]:
            name, model = _open(named)
            if name in models:
                model.close()
                raise UsageError(f"two models are called {name}", hint="name=… calls one something else")
            models[name] = model
        server = Server(models, log=lambda line: tell(printable(line)), **given)
        server.run(begun=lambda: _tell(server))
    finally:
        for model in models.values():
            model.close()
    return 0


def _tell(server: Server) -> None:
    show(printable(server.about))
    sys.stdout.flush()
    if server.warning:
        tell(printable(server.warning))


def _open(named: list[str]) -> tuple[str, Model]:
    """A model, and the name that it is asked by."""
    options = read_pairs(named[1:])
    name = options.pop("name", None)
    if name is not None and not isinstance(name, str):
        raise UsageError(f"{masked(named[0])}: name={name!r} is no text")
    model = open_model(named[0], **options)
    return name or model.name, model


def _raise_limit() -> None:
    """Allow as many connections as the system lets this program have."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
