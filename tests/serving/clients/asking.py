"""What all scripts here share: `told(name, ask)` notes what a library made of an answer, or how it failed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

URL = sys.argv[1]
PROMPT = json.loads(sys.argv[2])
NOTES: dict[str, Any] = {}


def told(name: str, ask: Callable[[], Any]) -> None:
    """Ask, and note the answer; of a failure its type, status and first words."""
    try:
        NOTES[name] = ask()
    except Exception as error:
        response = getattr(error, "response", None)
        status = getattr(error, "status_code", None) or getattr(response, "status_code", None)
        NOTES[name] = {"failed": type(error).__name__, "status": status, "said": str(error)[:300]}


def tell() -> None:
    """Print all notes as JSON."""
    print(json.dumps(NOTES))
