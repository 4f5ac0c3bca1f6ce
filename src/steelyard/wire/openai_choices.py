"""The choices of an answer in the OpenAI protocol: read whole, joined of events, and written.

{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}     of a chat
{"index": 0, "text": "Hi", "finish_reason": "stop"}                                         of a completion
{"index": 0, "delta": {"content": "H"}}, {"index": 0, "text": "H"}                          in events

Whatever a choice says beside its text is kept in `Response.raw`; what was thought always as `reasoning`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.errors import DataError
from steelyard.types import Chunk, Response, Tokens
from steelyard.wire.openai_errors import say_error

_ROLES = {"content", "role", "model"}
# What of a whole answer says nothing about what was asked.
_WRAPPING = {"id", "object", "created", "choices"}
_THOUGHTS = ("reasoning", "reasoning_content")
# What is not said of an answer by us but by a model that has more to say than a text.
_SAYING = ("reasoning", "tool_calls", "refusal", "audio", "function_call")


def group_choices(answer: Mapping[str, Any], count: int) -> list[list[dict[str, Any]]]:
    """The choices of an answer to so many prompts, those to each prompt together."""
    choices = answer["choices"]
    if len(choices) == count == 1 and isinstance(choices[0], dict):
        return [choices]
    if not all(isinstance(choice, dict) for choice in choices):
        raise DataError("the answer has choices that are no objects")
    if all(isinstance(choice.get("index"), int) for choice in choices):
        choices = sorted(choices, key=lambda choice: choice["index"])
    each, odd = divmod(len(choices), count)
    if odd or not each:
        raise DataError(f"{len(choices)} choices were answered to {count} prompts")
    return [choices[start : start + each] for start in range(0, len(choices), each)]


def read_response(answer: Mapping[str, Any], choices: Sequence[dict[str, Any]]) -> Response:
    """The first of some completions, with all else that it says; all of them where there are several."""
    choice = choices[0]
    message = choice.get("message")
    message = message if isinstance(message, dict) else {"content": choice.get("text")}
    content = message.get("content")
    text = content if isinstance(content, str) else _read_content(content)
    refusal = message.get("refusal")
    # Some services say more beside their choices: what the prompt was made of, how likely it was, …
    raw = {key: value for key, value in answer.items() if value is not None and key not in _WRAPPING}
    for key, value in choice.items():
        if value is not None and key not in ("message", "text", "index"):
            raw[key] = value
    for key, value in message.items():
        if value is not None and key not in _ROLES:
            raw["reasoning" if key in _THOUGHTS else key] = value
    if len(choices) > 1:
        raw["choices"] = choices
    return Response(
        # A refusal is an answer too: what the model said instead.
        text=text or (refusal if isinstance(refusal, str) else ""),
        tokens=read_usage(answer.get("usage")),
        error=_read_fault(choice, text),
        raw=raw,
    )


def _read_fault(choice: Mapping[str, Any], text: str) -> str | None:
    """What went wrong with this one completion, if anything did."""
    if choice.get("error"):
        return say_error(choice["error"])
    finish = choice.get("finish_reason")
    if finish == "content_filter" and not text:
        return "the service withheld the answer (content_filter)"
    if finish in ("abort", "error"):
        return f"the service gave up the answer ({finish})"
    return None


def _read_content(content: Any) -> str:
    """The text of a message that is none itself: it may come in parts, some of them no text."""
    if not isinstance(content, list):
        return ""
    parts = [part.get("text") if isinstance(part, dict) else part for part in content]
    return "".join(part for part in parts if isinstance(part, str))


def read_usage(usage: Any) -> Tokens | None:
    """How many tokens were read and written, as far as it is said."""
    if not isinstance(usage, dict):
        return None
    tokens_in, tokens_out = usage.get("prompt_tokens"), usage.get("completion_tokens")
    tokens_in = tokens_in if isinstance(tokens_in, int) else None
    tokens_out = tokens_out if isinstance(tokens_out, int) else None
    return None if tokens_in is None and tokens_out is None else Tokens(tokens_in, tokens_out)


class Pieces:
    """An answer that comes in events: what they made together so far."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] = {}
        self.choices: dict[int, dict[str, Any]] = {}

    def add(self, event: dict[str, Any]) -> Chunk | None:
        """The piece of text in an event; None where it says nothing of the answer itself.

        Of several choices only the first is the answer; what else a piece says stands in the raw delta.
        """
        parts = event.pop("choices", None) or []
        for key, value in event.items():
            if value is not None:
                self.answer[key] = value
        if not isinstance(parts, list):
            raise _odd(parts)
        chunk = None
        for part in parts:
            if not isinstance(part, dict):
                raise _odd(parts)
            index = part.get("index") or 0
            known = self.choices.get(index)
            if known is None:
                known = self.choices[index] = {"index": index}
            piece = _join(known, part)
            chunk = piece if index == 0 and piece is not None else chunk
        return chunk

    def extend(self, field: str, texts: Sequence[str]) -> None:
        """Add pieces of text that say nothing beside."""
        choice = self.choices[0]
        known = choice if field == "text" else choice.setdefault("message", {})
        _add(known, field, "".join(texts))

    def forget(self) -> None:
        """Drop what was said, but for as much of it as tells that something was."""
        for choice in self.choices.values():
            choice.pop("logprobs", None)
            for known in (choice, choice.get("message", {})):
                for field in ("text", "content", *_THOUGHTS):
                    if isinstance(known.get(field), str):
                        known[field] = known[field][:1]

    @property
    def ended(self) -> bool:
        """Whether every choice has been said to be at its end."""
        return bool(self.choices) and all(one.get("finish_reason") for one in self.choices.values())

    def whole(self) -> dict[str, Any]:
        """The answer as it would have come in one piece."""
        for choice in self.choices.values():
            for call in choice.get("message", {}).get("tool_calls") or ():
                call.pop("index", None)
        return {**self.answer, "choices": [self.choices[index] for index in sorted(self.choices)]}


def _odd(parts: Any) -> DataError:
    return DataError(f"an event of the answer has odd choices: {str(parts)[:80]}")


def _join(choice: dict[str, Any], part: dict[str, Any]) -> Chunk | None:
    """Add a piece to what came of a choice; the piece, if it says something."""
    delta, text, likely = part.pop("delta", None), part.pop("text", None), part.pop("logprobs", None)
    if isinstance(likely, dict):
        known = choice.setdefault("logprobs", {})
        for key, value in likely.items():
            _add(known, key, value)
    for key, value in part.items():
        if value is not None:
            choice[key] = value
    if isinstance(text, str):
        choice["text"] = choice.get("text", "") + text
        return Chunk(text) if text else None
    if not isinstance(delta, dict):
        return None
    message = choice.setdefault("message", {})
    said = [key for key, value in delta.items() if _add(message, key, value)]
    if not said:
        return None
    content = delta.get("content")
    text = content if isinstance(content, str) else _read_content(content)
    if said == ["content"]:
        return Chunk(text)
    return Chunk(text, raw={"delta": {key: delta[key] for key in said if key != "content"}})


def _add(message: dict[str, Any], key: str, value: Any) -> bool:
    """Add a piece to a message; whether it says something."""
    if key in ("role", "type") or value is None:
        message.setdefault(key, value)
        return False
    if key == "tool_calls" and isinstance(value, list):
        _add_calls(message.setdefault(key, []) or [], value, message)
    elif key == "function_call" and isinstance(value, dict):
        known = message.get(key) or {}
        message[key] = known
        _add_function(known, value)
    elif isinstance(value, str) and isinstance(known := message.get(key), str):
        message[key] = known + value
    elif isinstance(value, list):
        # Longer and longer ones would be copied with every piece.
        known = message.get(key)
        message[key] = known if isinstance(known, list) else []
        message[key].extend(value)
    else:
        message[key] = value
    return bool(value)


def _add_calls(calls: list[dict[str, Any]], pieces: Sequence[Any], message: dict[str, Any]) -> None:
    """Add pieces of calls of tools, each to the call that it belongs to."""
    message["tool_calls"] = calls
    for piece in pieces:
        if not isinstance(piece, dict):
            continue
        place, name = piece.get("index"), piece.get("id")
        call = next((one for one in reversed(calls) if place is None or one.get("index") == place), None)
        # Some count all calls as the first, some do not count at all: a new name is a new call.
        if call is None or (name and call.get("id") and call["id"] != name):
            call = {} if place is None else {"index": place}
            calls.append(call)
        for key, value in piece.items():
            if key == "function" and isinstance(value, dict):
                _add_function(call.setdefault(key, {}), value)
            elif key != "index" and value is not None:
                call[key] = value


def _add_function(function: dict[str, Any], piece: Mapping[str, Any]) -> None:
    for key, value in piece.items():
        known = function.get(key)
        # Some say the name again with every piece.
        if isinstance(value, str) and isinstance(known, str) and (key == "arguments" or known != value):
            function[key] = known + value
        elif value is not None:
            function[key] = value


def write_choice(response: Response, *, chat: bool, index: int, before: str = "") -> dict[str, Any]:
    """One completion as a choice of a whole answer; `before` is what its text is to begin with."""
    raw = response.raw if isinstance(response.raw, Mapping) else {}
    more = {"logprobs": raw.get("logprobs"), "finish_reason": find_finish(response)}
    if not chat:
        return {"index": index, "text": before + response.text, **more}
    return {"index": index, "message": write_message(response), **more}


def write_message(response: Response) -> dict[str, Any]:
    """What was answered, as a message of a chat."""
    raw = response.raw if isinstance(response.raw, Mapping) else {}
    more = {key: raw[key] for key in _SAYING if raw.get(key) is not None}
    content = None if more.get("refusal") or (raw.get("tool_calls") and not response.text) else response.text
    return {"role": "assistant", "content": content, "refusal": None, **more}


def find_finish(response: Response) -> str:
    """Why an answer ended, in the words of the protocol."""
    raw = response.raw if isinstance(response.raw, Mapping) else {}
    said = raw.get("finish_reason") or raw.get("finish")
    if said == "length":
        return "length"
    if raw.get("tool_calls"):
        return "tool_calls"
    return str(said) if said in ("content_filter", "tool_calls", "function_call") else "stop"


def write_usage(responses: Sequence[Response], each: int) -> dict[str, int] | None:
    """The tokens of an answer in which `each` responses belong to one prompt; None where nobody counted."""
    told = [response.tokens for response in responses if response.tokens is not None]
    if not told:
        return None
    # A prompt with several answers is counted once.
    read = [response.tokens.input or 0 for response in responses[::each] if response.tokens is not None]
    tokens_in, tokens_out = sum(read), sum(tokens.output or 0 for tokens in told)
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
    }
