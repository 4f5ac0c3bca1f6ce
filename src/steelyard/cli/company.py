"""`--check-independence N`: the first questions of a run asked alone and in company, before it begins."""

from __future__ import annotations

from itertools import islice
from typing import Any

from steelyard.cli.screen import printable, tell
from steelyard.models.base import Model
from steelyard.parity.independence import check_independence
from steelyard.tasks.base import Task
from steelyard.tasks.prompts import with_media
from steelyard.ways import Way, find_way, may_be_open


def check_first(model: Model, task: Task, count: int, *, chat: bool | None, seed: int) -> dict[str, Any]:
    """Check the first questions of a task, tell what was found, and give it as a run stores it."""
    chat = model.chat if chat is None else chat
    samples = list(islice(task.data, count))
    way = find_way(model, task, samples, chat=chat) if may_be_open(model, task) else Way(model, task)
    questions = [with_media(sample, way.task.request(sample, chat=chat))[1] for sample in samples]
    found = check_independence(way.model, questions, seed=seed)
    mark = "" if found.holds else "! "
    for line in found.tell():
        tell(printable(f"{mark}independence: {line}"))
    return found.as_document()
