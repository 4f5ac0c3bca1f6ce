"""The text-generation library against URL; see asking.py."""

from __future__ import annotations

from typing import Any

from asking import PROMPT, URL, tell, told
from text_generation import Client

one = Client(f"{URL}/small", headers={"Authorization": "Bearer right"}, timeout=60)
full = Client(f"{URL}/full", headers={"Authorization": "Bearer right"}, timeout=60)
wrong = Client(f"{URL}/small", headers={"Authorization": "Bearer wrong"}, timeout=60)


def whole() -> dict[str, Any]:
    answer = one.generate(PROMPT, max_new_tokens=8)
    return {"text": answer.generated_text, "tokens": answer.details.generated_tokens,
            "finish": answer.details.finish_reason.value}  # fmt: skip


def stream() -> dict[str, Any]:
    events = list(one.generate_stream(PROMPT, max_new_tokens=8))
    pieces = [event.token.text for event in events if not event.token.special]
    return {"text": events[-1].generated_text, "joined": "".join(pieces), "pieces": len(events),
            "tokens": events[-1].details.generated_tokens}  # fmt: skip


told("generate", whole)
told("stream", stream)
told("stop", lambda: one.generate(PROMPT, max_new_tokens=8, stop_sequences=["e"]).generated_text)
told("wrong key", lambda: wrong.generate(PROMPT, max_new_tokens=8).generated_text)
told("too many", lambda: full.generate(PROMPT, max_new_tokens=8).generated_text)
told("too long", lambda: one.generate(PROMPT * 2000, max_new_tokens=8).generated_text)
tell()
