"""A service that answers so many at a time, each in the same time: `python slotted_service.py SLOTS SECONDS`.

What it can do is known: SLOTS / SECONDS requests a second. It speaks the OpenAI protocol, streamed, and
prints its port.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LISTED = b'{"data": [{"id": "m"}]}'
MODELS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(LISTED) + LISTED
)


def event(data: str) -> bytes:
    """A chunk with one event."""
    text = f"data: {data}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(text), text)


def answer() -> bytes:
    """A whole answer of one token."""
    piece = {"choices": [{"index": 0, "delta": {"content": "Yes"}, "finish_reason": None}]}
    end = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}}
    return HEAD + b"".join(map(event, (json.dumps(piece), json.dumps(end), "[DONE]"))) + b"0\r\n\r\n"


async def main(slots: int, seconds: float) -> None:
    places, said = asyncio.Semaphore(slots), answer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (
                        int(line[15:])
                        for line in head.split(b"\r\n")
                        if line.lower().startswith(b"content-length:")
                    ),
                    0,
                )
                await reader.readexactly(length)
                if head.startswith(b"GET"):
                    writer.write(MODELS)
                    continue
                async with places:
                    await asyncio.sleep(seconds)
                writer.write(said)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


@contextlib.contextmanager
def slotted(slots: int, seconds: float) -> Iterator[str]:
    """The address of such a service for the time of a `with` block."""
    command = [sys.executable, __file__, str(slots), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
