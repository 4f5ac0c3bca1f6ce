"""What all tests share; that this file is here puts the folder on the import path."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Whoever starts the tests in the background has them ignore Ctrl-C, and all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What makes the tiny checkpoints lies with the tests of the models, whatever folder is being tested.
sys.path.insert(0, str(Path(__file__).parent / "models"))


@pytest.fixture(scope="session")
def vision_folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes the folder of a tiny vision-language model, by its family; each is made once."""
    from vision_checkpoints import make_checkpoint

    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in made:
            made[family] = make_checkpoint(family, tmp_path_factory.mktemp("vision") / family)
        return made[family]

    return make
