"""Conversations of several turns: one question is the turns up to the last one of the user.

    {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]}    sharegpt
    {"question_id": 81, "category": "writing", "turns": ["Write …", "Now rewrite …"]}            mtbench

Of MT-Bench, whose later turns need the answers to the earlier ones, the first turn is asked; all of
them stay in `meta["turns"]`.
"""

from __future__ import annotations

from typing import Any

from steelyard.data.layouts.base import Fields, Layout, Place
from steelyard.data.rows import BadRow
from steelyard.types import Sample

_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "system": "system",
}


def make_dialogue(row: Fields, place: Place) -> Sample:
    """The turns up to the last of the user; the target is what was answered to it."""
    given = row.need("conversations", "conversation", "messages", "items")
    if not isinstance(given, (list, tuple)):
        raise BadRow("a list of turns as conversations", given)
    turns = [_turn(one) for one in given]
    last = next((n for n in reversed(range(len(turns))) if turns[n]["role"] == "user"), None)
    if last is None:
        raise BadRow("a turn of the user", given)
    target = turns[last + 1]["content"] if last + 1 < len(turns) else None
    meta = {column: value for column, value in row.items() if value is not given}
    return Sample(place.id(row.find("id")), turns[: last + 1], target, None, meta)


def make_mtbench(row: Fields, place: Place) -> Sample:
    """The first turn of a question, with its reference answer where it has one."""
    turns = row.need("turns", "prompt")
    if not isinstance(turns, (list, tuple)) or not turns or not all(isinstance(turn, str) for turn in turns):
        raise BadRow("a list of texts as turns", turns)
    known = row.find("reference")
    target = known[0] if isinstance(known, (list, tuple)) and known else known
    meta = {**row, "turns": list(turns)}
    return Sample(place.id(row.find("question_id", "prompt_id", "id")), turns[0], target or None, None, meta)


def _turn(given: Any) -> dict[str, Any]:
    turn = Fields(given) if isinstance(given, dict) else Fields({})
    role = _ROLES.get(str(turn.find("from", "role")))
    text = turn.find("value", "content", "text")
    if role is None or (text is not None and not isinstance(text, (str, list))):
        raise BadRow("a turn with from and value, or role and content", given)
    return {"role": role, "content": "" if text is None else text}


SHAREGPT = Layout("sharegpt", make_dialogue, asked=("test", "val", "dev", "train"))
# Beside its questions lie answers and judgements.
MTBENCH = Layout("mtbench", make_mtbench, words=("question",))
