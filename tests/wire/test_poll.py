"""What waits to be read is read one connection after the other, carefully while there is hope to catch up."""

from __future__ import annotations

import asyncio
import select
import socket
import time

import pytest

from steelyard.wire.poll import Poll

MANY = 30


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="elsewhere nothing is read carefully")
def test_who_does_not_catch_up_is_hurried_until_it_has() -> None:
    told: list[tuple[bool, bool]] = []

    async def go() -> None:
        poll = Poll(asyncio.get_running_loop())
        pairs = [socket.socketpair() for _ in range(MANY)]
        left = MANY * 10
        drained = asyncio.get_running_loop().create_future()

        def reader(sock: socket.socket) -> None:
            def read(careful: bool, hurried: bool) -> float:
                nonlocal left
                told.append((careful, hurried))
                sock.recv(1)
                time.sleep(0.001)
                left -= 1
                if not left:
                    drained.set_result(None)
                return 0.0

            poll.add(sock.fileno(), read)

        for here, _ in pairs:
            reader(here)
        for _, there in pairs:
            there.send(b"0123456789")
        time.sleep(0.01)
        await drained
        await asyncio.sleep(0.01)
        left, drained = 1, asyncio.get_running_loop().create_future()
        pairs[0][1].send(b"x")
        await drained
        for here, there in pairs:
            poll.remove(here.fileno())
            here.close()
            there.close()

    asyncio.run(go())
    first, *rest, last = told
    assert first == (True, False)
    assert (True, True) in rest
    assert last == (True, False)
