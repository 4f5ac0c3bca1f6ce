"""A model of one's own: `load_model` returns what is called with each batch.

runner.load_model("local-demo", model_type="local", module_path="bench.examples.mypkg.mylocal")
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Batch = list[dict[str, Any]]


def load_model(model_path: str | None = None, **options: Any) -> Callable[..., Batch]:
    """A triage of notes by the words in them; `urgent` adds words to the ones that alarm it."""
    alarming = {"chest", "bleeding", "unconscious", *options.get("urgent", ())}

    def predict(batch: Batch, **_: Any) -> Batch:
        return [_triage(item, alarming) for item in batch]

    return predict


def _triage(item: dict[str, Any], alarming: set[str]) -> dict[str, Any]:
    words = str(item.get("text", item.get("note", ""))).lower().split()
    found = sum(word.strip(".,!?") in alarming for word in words)
    return {"label": "urgent" if found else "routine", "score": 1.0 - 0.5 ** (found + 1)}
