"""Weigh any model: evaluate, load-test, score, tune and serve it through one interface.

    from steelyard import evaluate, open_task

    run = evaluate("embedded", open_task("arithmetic"))

Every public name is loaded when it is first used, so importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steelyard.data.source import Data as Data
    from steelyard.engine import answer as answer
    from steelyard.engine import answer_async as answer_async
    from steelyard.engine import execute as execute
    from steelyard.errors import SteelyardError as SteelyardError
    from steelyard.evaluation import evaluate as evaluate
    from steelyard.evaluation import rescore as rescore
    from steelyard.loadtest.plan import Stage as Stage
    from steelyard.loadtest.running import load as load
    from steelyard.media.images import Image as Image
    from steelyard.media.sounds import Sound as Sound
    from steelyard.meter import Meter as Meter
    from steelyard.meter import measure as measure
    from steelyard.metrics.base import Corpus as Corpus
    from steelyard.models.base import LocalModel as LocalModel
    from steelyard.models.base import Model as Model
    from steelyard.models.references import open_model as open_model
    from steelyard.parity.examination import check_parity as check_parity
    from steelyard.parity.independence import check_independence as check_independence
    from steelyard.serving.server import Server as Server
    from steelyard.serving.server import serve as serve
    from steelyard.store import Run as Run
    from steelyard.tasks.base import Task as Task
    from steelyard.tasks.references import open_task as open_task
    from steelyard.types import Chunk as Chunk
    from steelyard.types import Cost as Cost
    from steelyard.types import Part as Part
    from steelyard.types import Record as Record
    from steelyard.types import Request as Request
    from steelyard.types import Response as Response
    from steelyard.types import Sample as Sample
    from steelyard.types import Timing as Timing
    from steelyard.types import Tokens as Tokens
    from steelyard.workloads.base import Session as Session
    from steelyard.workloads.base import Turn as Turn

__version__ = "0.5.0"

_HOMES = {
    "Chunk": "types",
    "Corpus": "metrics.base",
    "Cost": "types",
    "Data": "data.source",
    "Image": "media.images",
    "LocalModel": "models.base",
    "Meter": "meter",
    "Model": "models.base",
    "Part": "types",
    "Record": "types",
    "Request": "types",
    "Response": "types",
    "Run": "store",
    "Sample": "types",
    "Server": "serving.server",
    "Session": "workloads.base",
    "Sound": "media.sounds",
    "Stage": "loadtest.plan",
    "SteelyardError": "errors",
    "Task": "tasks.base",
    "Timing": "types",
    "Tokens": "types",
    "Turn": "workloads.base",
    "answer": "engine",
    "answer_async": "engine",
    "check_independence": "parity.independence",
    "check_parity": "parity.examination",
    "evaluate": "evaluation",
    "execute": "engine",
    "load": "loadtest.running",
    "measure": "meter",
    "open_model": "models.references",
    "open_task": "tasks.references",
    "rescore": "evaluation",
    "serve": "serving.server",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - a list of names, each with its home


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'steelyard' has no attribute {name!r}")
    found = getattr(import_module(f"steelyard.{home}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
