"""Workloads for tests: numbered sessions, as many as are wanted, endless or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from steelyard import Session, Turn


@dataclass
class Numbered:
    """Sessions that say their number; `turns` each, every `apart` seconds if they were recorded."""

    size: int | None = None
    turns: int = 1
    apart: float | None = None
    think: float = 0.0
    max_tokens: int | None = 8
    name: str = "numbered"

    def identity(self) -> Mapping[str, Any]:
        return {"workload": self.name, "size": self.size, "turns": self.turns, "apart": self.apart}

    def __iter__(self) -> Iterator[Session]:
        for n in count() if self.size is None else range(self.size):
            asked = [Turn(f"What is {n}.{k}?", self.max_tokens, think=self.think) for k in range(self.turns)]
            yield Session(f"s{n}", asked, at=None if self.apart is None else 100 + n * self.apart)
