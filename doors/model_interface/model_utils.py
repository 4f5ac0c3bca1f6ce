"""What a call takes: its time, or all it costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from steelyard.meter import measure

__all__ = ["measure", "measure_inference_time"]


def measure_inference_time(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> float:
    """The seconds that one call takes, work on a GPU included."""
    return measure(function, *args, **kwargs).cost.wall
