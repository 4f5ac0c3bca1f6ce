"""Places: in turn, as many as there are, and none is lost when somebody leaves."""

from __future__ import annotations

import asyncio

from steelyard.serving.places import Places


async def take(places: Places, log: list[int], number: int) -> None:
    await places.take()
    log.append(number)


async def start(places: Places, count: int) -> tuple[list[asyncio.Task[None]], list[int]]:
    log: list[int] = []
    tasks = [asyncio.create_task(take(places, log, number)) for number in range(count)]
    await asyncio.sleep(0)
    return tasks, log


def test_places_are_taken_in_turn() -> None:
    async def main() -> None:
        places = Places(2, queue=2)
        tasks, log = await start(places, 4)
        assert (log, places.taken, places.waiting, places.full) == ([0, 1], 2, 2, True)
        places.give_back(1.0)
        await asyncio.sleep(0)
        assert (log, places.taken, places.waiting, places.full) == ([0, 1, 2], 2, 1, False)
        for _ in range(3):
            places.give_back(1.0)
        await asyncio.gather(*tasks)
        assert (log, places.taken, places.waiting) == ([0, 1, 2, 3], 0, 0)

    asyncio.run(main())


def test_who_leaves_the_queue_takes_no_place() -> None:
    async def main() -> None:
        places = Places(1, queue=5)
        tasks, log = await start(places, 4)
        tasks[1].cancel()
        # This one leaves in the moment in which it is given its place.
        places.give_back(1.0)
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert log == [0, 3]
        places.give_back(1.0)
        assert (places.taken, places.waiting) == (0, 0)

    asyncio.run(main())


def test_how_long_to_wait_grows_with_the_queue_and_has_an_end() -> None:
    async def main() -> None:
        places = Places(1, queue=100)
        tasks, _ = await start(places, 8)
        assert places.patience == 1
        places.give_back(4.0)
        await asyncio.sleep(0)
        assert places.patience == 4 * 7
        places.give_back(1000.0)
        await asyncio.sleep(0)
        assert places.patience == 60
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())
