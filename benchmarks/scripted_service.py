"""A chat service that answers at once and always the same, on a core of its own: it is not what is measured.

    python benchmarks/scripted_service.py [--core 0] [--events 0]

It prints the port that it listens at. With `--events` an answer that is asked for in events has so many.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)


def whole() -> bytes:
    """The bytes of an answer in one piece."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "42"},
        "logprobs": None,
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    about = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "scripted"}
    body = json.dumps({**about, "choices": [choice], "usage": usage}).encode()
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )


def in_events(count: int) -> bytes:
    """The bytes of an answer in so many events, each in a chunk of its own."""
    told = [{"choices": [{"index": 0, "delta": {"content": "42 "}, "finish_reason": None}]}] * count
    told.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    said = [b"data: " + json.dumps(one).encode() + b"\n\n" for one in told] + [b"data: [DONE]\n\n"]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in said) + b"0\r\n\r\n"


class Scripted(asyncio.Protocol):
    """One connection."""

    answer, events = whole(), b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with nothing read."""
        self.transport, self.read = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer each question that is whole."""
        self.read += data
        while (end := self.read.find(b"\r\n\r\n") + 4) > 3:
            found = LENGTH.search(self.read, 0, end)
            size = end + (int(found[1]) if found else 0)
            if len(self.read) < size:
                return
            streams = self.events and b'"stream":true' in self.read[end:size].replace(b" ", b"")
            self.transport.write(self.events if streams else self.answer)  # type: ignore[attr-defined]
            self.read = self.read[size:]


async def serve(options: argparse.Namespace) -> None:
    """Answer until one is killed."""
    if options.core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {options.core})
    Scripted.events = in_events(options.events) if options.events else b""
    server = await asyncio.get_running_loop().create_server(Scripted, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--core", type=int)
    parser.add_argument("--events", type=int, default=0)
    asyncio.run(serve(parser.parse_args()))
