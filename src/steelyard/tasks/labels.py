"""Texts with one of several labels, from a classifier or from a model that writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from steelyard.metrics.extraction import find_last_line
from steelyard.metrics.labels import accuracy, f1_macro
from steelyard.tasks.base import Task


def classification(
    *, data: Any, labels: Sequence[str] | str = (), name: str = "classification", **options: Any
) -> Task:
    """Labels of texts: accuracy and macro F1.

    Without `labels` the text alone is asked, as classifiers take it; with them (a list, or a text
    with commas) the prompt names them, for a model that writes.
    """
    if isinstance(labels, str):
        labels = [label.strip() for label in labels.split(",") if label.strip()]
    preset: dict[str, Any] = {"metrics": (accuracy, f1_macro)}
    if labels:
        listed = ", ".join(labels).replace("{", "{{").replace("}", "}}")
        preset["template"] = f"{{input}}\nLabel (one of: {listed}):"
        preset["extract"] = find_last_line
        preset["params"] = {"max_tokens": 16, "stop": ["\n"]}
    return Task(name=name, data=data, **{**preset, **options})
