"""The openai library against URL; see asking.py."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
from asking import PROMPT, URL, tell, told

MODEL = "small"
TURNS: Any = [{"role": "user", "content": PROMPT}]


def client(**options: Any) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{URL}/v1", **{"api_key": "right", "max_retries": 0, "timeout": 60, **options}
    )


def chat(ask: openai.OpenAI, **options: Any) -> Any:
    return ask.chat.completions.create(model=MODEL, messages=TURNS, max_tokens=8, **options)


def chat_stream() -> dict[str, Any]:
    texts, finish, usage = [], None, None
    for chunk in chat(one, stream=True, stream_options={"include_usage": True}):
        if chunk.choices:
            texts.append(chunk.choices[0].delta.content or "")
            finish = chunk.choices[0].finish_reason or finish
        usage = chunk.usage or usage
    return {"text": "".join(texts), "pieces": len([text for text in texts if text]), "finish": finish,
            "tokens": usage.completion_tokens}  # fmt: skip


def chat_whole() -> dict[str, Any]:
    answer = chat(one)
    choice = answer.choices[0]
    return {"text": choice.message.content, "finish": choice.finish_reason,
            "tokens": answer.usage.completion_tokens, "model": answer.model}  # fmt: skip


async def many() -> list[str]:
    ask = openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key="right", max_retries=0)
    asking = [ask.chat.completions.create(model=MODEL, messages=TURNS, max_tokens=8) for _ in range(20)]
    answers = await asyncio.gather(*asking)
    await ask.close()
    return [answer.choices[0].message.content or "" for answer in answers]


def completion_stream() -> str:
    chunks = one.completions.create(model=MODEL, prompt=PROMPT, max_tokens=8, stream=True)
    return "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)


def completions() -> list[str]:
    answer = one.completions.create(
        model=MODEL, prompt=[PROMPT, PROMPT + " and"], max_tokens=8, temperature=0
    )
    return [choice.text for choice in answer.choices]


one = client()
told("models", lambda: [model.id for model in one.models.list()])
told("model", lambda: one.models.retrieve(MODEL).id)
told("chat", chat_whole)
told("chat stream", chat_stream)
told("several", lambda: len(chat(one, n=3, temperature=1.0).choices))
told("many", lambda: asyncio.run(many()))
told("completions", completions)
told("completion stream", completion_stream)
told("wrong model", lambda: one.chat.completions.create(model="other", messages=TURNS).id)
told("wrong parameter", lambda: chat(one, temperature=-3.0).id)
told("wrong key", lambda: chat(client(api_key="wrong")).id)
told("too many", lambda: one.chat.completions.create(model="full", messages=TURNS).id)
told("embeddings of a writer", lambda: one.embeddings.create(model=MODEL, input="a").data)
told("embeddings", lambda: [
    len(row.embedding) for row in one.embeddings.create(model="vectors", input=["a", "b c"]).data
])  # fmt: skip
tell()
