"""Likelihoods and scores as models give them: such as can be compared and stored, else an error."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from steelyard.models.base import Model
from steelyard.types import Request, Response


def check_scores(model: Model, request: Request, response: Response) -> Response:
    """The response with scores that can be compared and stored, else with the error that it is."""
    given, choices = response.scores, request.choices
    if given is None:
        error = f"{model.name} gives no likelihoods of choices (ask it for a letter instead)"
        return replace(response, error=error)
    if choices is not None and len(given) != len(choices):
        error = f"{model.name} gave {len(given)} likelihoods of {len(choices)} choices"
        return replace(response, error=error, scores=None)
    try:
        if isinstance(given, Mapping):
            return replace(response, scores={str(name): _number(score) for name, score in given.items()})
        return replace(response, scores=[_number(score) for score in given])
    except (TypeError, ValueError) as odd:
        return replace(response, error=f"{model.name} gave odd scores: {odd}", scores=None)


def _number(score: Any) -> float:
    number = float(score)
    if math.isnan(number):
        raise ValueError("NaN")
    # What is impossible has the log-probability -inf, which JSON does not know.
    return max(-sys.float_info.max, min(number, sys.float_info.max))
