"""A tiny model with a chat template and a BOS, and a server of it with many things wrong about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from planted_models import PLANTS, Planted

from steelyard import Model, Server, open_model
from steelyard.models.embedded import Embedded


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of random weights that writes ASCII."""
    from service_models import write_service_model

    return write_service_model(tmp_path_factory.mktemp("parity") / "tiny")


@pytest.fixture(scope="session")
def local(folder: Path) -> Iterator[Embedded]:
    """The model in this process."""
    model = Embedded(folder, max_tokens=40)
    yield model
    model.close()


@pytest.fixture(scope="session")
def server(local: Embedded) -> Iterator[Server]:
    """Every planted model under its name, and under NAME-uncounted one that says nothing of tokens."""
    models: dict[str, Model] = {}
    for name, planted in PLANTS.items():
        models[name] = Planted(local, **planted)
        models[f"{name}-uncounted"] = Planted(local, usage=False, **planted)
    with Server(models, port=0, log=lambda line: None) as server:
        yield server
    for model in models.values():
        model.close()


@pytest.fixture
def served(server: Server) -> Iterator[Callable[..., Model]]:
    """Opens a planted model as a service."""
    opened: list[Model] = []

    def open_one(name: str, **options: Any) -> Model:
        opened.append(open_model(server.url + "/v1", model=name, **options))
        return opened[-1]

    yield open_one
    for model in opened:
        model.close()
