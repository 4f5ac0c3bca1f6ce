"""Leaving a program while a local model answers: torch on its thread must not abort the process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from collections.abc import Sequence

from steelyard.models.base import LocalModel
from steelyard.types import Request, Response

PROGRAM = textwrap.dedent("""
    import asyncio, sys, threading
    import torch
    from steelyard import LocalModel, Request, Response

    begun, numbers = threading.Event(), torch.rand(300, 300)

    class Busy(LocalModel):
        def batch(self, requests):
            begun.set()
            for _ in range(300):
                numbers @ numbers
            print("ended", flush=True)
            return [Response("") for _ in requests]

    async def main():
        asking = asyncio.ensure_future(Busy().ask(Request("1", "?")))
        await asyncio.to_thread(begun.wait)
        asking.cancel()

    asyncio.run(main())
    sys.exit(3)
""")


def test_a_program_that_leaves_lets_the_batch_under_way_end() -> None:
    left = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (left.returncode, left.stdout, left.stderr) == (3, "ended\n", "")


def test_nothing_is_prepared_for_calls_that_were_given_up() -> None:
    begun, go_on = threading.Event(), threading.Event()
    prepared: list[str] = []

    class Slow(LocalModel):
        batch_size = 2

        def prepare(self, requests: Sequence[Request]) -> None:
            prepared.extend(request.id for request in requests)

        def batch(self, requests: Sequence[Request]) -> list[Response]:
            begun.set()
            go_on.wait(10)
            return [Response("")] * len(requests)

    model = Slow()

    async def give_up() -> None:
        asking = [asyncio.ensure_future(model.ask(Request(str(n), "?"))) for n in range(8)]
        await asyncio.to_thread(begun.wait)
        for one in asking[:7]:
            one.cancel()
        await asyncio.sleep(0)
        go_on.set()
        await asking[7]

    asyncio.run(give_up())
    model.close()
    assert set(prepared) <= {"2", "3", "7"}
