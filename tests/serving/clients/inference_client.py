"""huggingface_hub's InferenceClient against URL; see asking.py."""

from __future__ import annotations

from typing import Any

from asking import PROMPT, URL, tell, told
from huggingface_hub import InferenceClient

TURNS: Any = [{"role": "user", "content": PROMPT}]

# Kept while a stream is read: the library closes what nobody holds.
one = InferenceClient(model=f"{URL}/small", token="right", timeout=60)
base = InferenceClient(base_url=f"{URL}/v1", api_key="right", timeout=60)
full = InferenceClient(model=f"{URL}/full", token="right", timeout=60)
wrong = InferenceClient(model=f"{URL}/small", token="wrong", timeout=60)


def details() -> dict[str, Any]:
    answer = one.text_generation(PROMPT, max_new_tokens=8, details=True)
    found = answer.details
    assert found is not None
    return {"text": answer.generated_text, "finish": found.finish_reason, "tokens": found.generated_tokens}


def detailed_stream() -> dict[str, Any]:
    events = list(one.text_generation(PROMPT, max_new_tokens=8, stream=True, details=True))
    last = events[-1]
    assert last.details is not None
    return {"text": last.generated_text, "tokens": last.details.generated_tokens, "pieces": len(events)}


def chat_stream(client: InferenceClient, **options: Any) -> str:
    chunks = client.chat_completion(TURNS, max_tokens=8, stream=True, **options)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


told("generation", lambda: one.text_generation(PROMPT, max_new_tokens=8))
told("details", details)
told("stream", lambda: "".join(one.text_generation(PROMPT, max_new_tokens=8, stream=True)))
told("detailed stream", detailed_stream)
told("chat", lambda: one.chat_completion(TURNS, max_tokens=8).choices[0].message.content)
told("chat stream", lambda: chat_stream(one))
told(
    "chat by name",
    lambda: base.chat_completion(TURNS, model="small", max_tokens=8).choices[0].message.content,
)
told("chat stream by name", lambda: chat_stream(base, model="small"))
told("too many", lambda: full.text_generation(PROMPT, max_new_tokens=8))
told("wrong parameter", lambda: one.text_generation(PROMPT, max_new_tokens=-3))
told("wrong key", lambda: wrong.text_generation(PROMPT, max_new_tokens=8))
tell()
