"""How inputs are read, parameters translated and answers worded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steelyard.types import Response

Item = dict[str, Any]

SUMMARIZED = ("document", "text", "note", "patient_message")
READ = ("text", "prompt", "question", "patient_message", "document", "note")
_OURS = {"max_new_tokens": "max_tokens", "max_length": "max_tokens", "stop_strings": "stop"}


def read_text(item: Item, *, summarizing: bool) -> str:
    """The text of an input: of the keys that may hold one, the first that does."""
    keys = SUMMARIZED if summarizing else READ
    message, context = item.get("patient_message"), item.get("context")
    if summarizing and _is_text(message) and _is_text(context):
        return f"{message}\n\nContext: {context}"
    for key in keys:
        if _is_text(item.get(key)):
            return str(item[key])
    raise ValueError(
        f"An input has no text: it needs one of {', '.join(keys)} (it has {', '.join(item) or 'none'})."
    )


def translate(generation: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of transformers' generate, as parameters of a request."""
    params = {_OURS.get(name, name): value for name, value in generation.items()}
    if params.pop("return_full_text", False):
        raise ValueError("return_full_text=True is not offered: an answer is what follows the prompt.")
    samples = params.pop("do_sample", None)
    if samples is True:
        params.setdefault("temperature", 1.0)
    if samples is False:
        params["temperature"] = 0.0
    return params


def classified(item: Item, response: Response, *, label_map: Mapping[Any, str]) -> Item:
    """A label with its score: as `label_map` calls it by name or by number, else as the model does."""
    if response.error is not None or not isinstance(response.scores, Mapping):
        return plain(item, response)
    raw, place = response.text, list(response.scores).index(response.text)
    label = next((label_map[key] for key in (raw, place, str(place)) if key in label_map), raw)
    return {"input": item, "label": label, "score": response.scores[raw], "raw_label": raw}


def summarized(item: Item, response: Response) -> Item:
    """A summary."""
    if response.error is not None:
        return plain(item, response)
    return {"input": item, "summary": response.text, "prediction": response.text}


def written(item: Item, response: Response) -> Item:
    """A text."""
    if response.error is not None:
        return plain(item, response)
    return {"input": item, "text": response.text, "prediction": response.text}


def embedded(item: Item, response: Response) -> Item:
    """A vector."""
    if response.error is not None:
        return plain(item, response)
    return {"input": item, "text": "", "prediction": response.raw}


def plain(item: Item, response: Response) -> Item:
    """A model's own dictionary with all its keys; anything else as a label."""
    raw = response.raw
    if response.error is not None:
        return {"input": item, **(raw if isinstance(raw, dict) else {}), "error": response.error}
    if isinstance(raw, Mapping):
        return dict(raw)
    return {"label": response.text if raw is None else str(raw), "score": 1.0}


def scored(item: Item, response: Response) -> Item:
    """A service's dictionary with all its keys; a label without a score is sure."""
    answer = plain(item, response)
    return {**answer, "score": 1.0} if "label" in answer and "score" not in answer else answer


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
