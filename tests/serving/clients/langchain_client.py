"""langchain-openai against URL; see asking.py."""

from __future__ import annotations

from typing import Any

from asking import PROMPT, URL, tell, told
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings

OPTIONS: dict[str, Any] = {"base_url": f"{URL}/v1", "model": "small", "max_tokens": 8, "max_retries": 0}

chat = ChatOpenAI(api_key="right", temperature=0, **OPTIONS)
plain = OpenAI(api_key="right", temperature=0, **OPTIONS)
wrong = ChatOpenAI(api_key="wrong", **OPTIONS)
vectors = OpenAIEmbeddings(
    base_url=f"{URL}/v1", api_key="right", model="vectors", check_embedding_ctx_length=False
)

told("chat", lambda: chat.invoke(PROMPT).content)
told("chat stream", lambda: "".join(str(piece.content) for piece in chat.stream(PROMPT)))
told("batch", lambda: [answer.content for answer in chat.batch([PROMPT] * 3)])
told("usage", lambda: chat.invoke(PROMPT).usage_metadata["output_tokens"])
told("completion", lambda: plain.invoke(PROMPT))
told("completion stream", lambda: "".join(plain.stream(PROMPT)))
told("wrong key", lambda: wrong.invoke(PROMPT).content)
told("embeddings", lambda: [len(row) for row in vectors.embed_documents(["a", "b c"])])
tell()
