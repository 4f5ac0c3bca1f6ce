"""What a call of the benchmark gave."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[3]
CHECKPOINT = ROOT / "tests" / "data" / "reward-tiny" / "ckpt" / "model.safetensors"


class Called(NamedTuple):
    code: int
    out: str
    err: str
    folder: Path

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "results.jsonl").read_text().splitlines()]

    def document(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text())


Call = Callable[..., Called]
