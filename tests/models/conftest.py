"""Model folders that several tests open; each is made once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

# Nothing here may go to the network; the hub's library reads this when it is first imported.
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes the folder of a tiny causal model, by its family."""
    from tiny_networks import CAUSAL, make_network, make_tokenizer, save

    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in made:
            folder = tmp_path_factory.mktemp("networks") / family
            made[family] = save(folder, make_network(family, **CAUSAL[family]), make_tokenizer())
        return made[family]

    return make
