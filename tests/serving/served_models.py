"""Models whose answers the tests hold back, let go, and have fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

from steelyard.models.base import LocalModel, Model
from steelyard.types import Chunk, Request, Response


def shout(prompt: str) -> str:
    """A function as a model."""
    return prompt.upper()


class Held(Model):
    """Writes the words of its prompt, after the first only once it is let go; it knows who left."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked = 0
        self.left = 0
        self.done = 0

    async def stream(self, request: Request) -> AsyncIterator[Chunk]:
        self.asked += 1
        words = str(request.prompt).split(" ")
        try:
            yield Chunk(words[0])
            while not self.go.is_set():
                await asyncio.sleep(0.005)
            for word in words[1:]:
                yield Chunk(f" {word}")
            yield Chunk(tokens_in=7, tokens_out=len(words))
            self.done += 1
        except (asyncio.CancelledError, GeneratorExit):
            self.left += 1
            raise


class Endless(Model):
    """Writes without ever waiting, until it is told to end; it knows who left."""

    def __init__(self) -> None:
        self.end = threading.Event()
        self.left = 0

    async def stream(self, request: Request) -> AsyncIterator[Chunk]:
        try:
            while not self.end.is_set():
                yield Chunk("again ")
        except (asyncio.CancelledError, GeneratorExit):
            self.left += 1
            raise


class Breaking(Model):
    """Fails: at once, or after the first word where the prompt has several."""

    async def stream(self, request: Request) -> AsyncIterator[Chunk]:
        word, *others = str(request.prompt).split(" ")
        if others:
            yield Chunk(word)
        raise ValueError("the weights <are> gone")


class Gate(LocalModel):
    """A local model whose batches wait to be let through; it notes them."""

    batch_size = 8

    def __init__(self) -> None:
        self.go = threading.Event()
        self.batches: list[list[str]] = []

    def batch(self, requests: Sequence[Request]) -> list[Response]:
        self.batches.append([str(request.prompt) for request in requests])
        assert self.go.wait(20)
        return [Response(str(request.prompt).upper()) for request in requests]
