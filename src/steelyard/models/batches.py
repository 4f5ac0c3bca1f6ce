"""How a local model answers: waves of waiting calls, cut into batches, on one thread of its own.

Calls that wait at the same time form a wave; a wave is sorted by length and cut into batches. While
one batch is answered, the next is prepared on a second thread, if the model has something to prepare.
"""

from __future__ import annotations

import asyncio
import atexit
import itertools
import sys
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from steelyard.errors import describe
from steelyard.meter import Meter
from steelyard.types import Cost, Request, Response, Timing

if TYPE_CHECKING:
    from steelyard.models.base import LocalModel

clock = time.perf_counter

watched: ContextVar[tuple[Request, Listener] | None] = ContextVar("watched", default=None)
"""The request that the caller streams, and who hears its answer."""

# Times are told in microseconds: a stored answer has one for every token.
_DIGITS = 6
# How long a program that leaves waits for a batch under way, in seconds.
_PATIENCE = 5.0


class Listener:
    """Hears an answer on the model's thread while it is written, and passes it on to a loop.

    One that is `quiet` wants no pieces: it waits for the whole answer, and says when it is gone.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.gone = False
        """Whether nobody listens any more: the answer need not be written on."""
        self.refused = False
        """Whether the request itself was at fault, so that it could not be answered."""
        self._loop = loop
        self._pieces: deque[str] = deque()
        self._news = asyncio.Event()
        self._said: list[str] = []
        self._length = 0

    @property
    def said(self) -> str:
        """All that was passed on."""
        return "".join(self._said)

    def hear(self, piece: str, *, at: int) -> None:
        """Take a piece of the answer that stands `at` this place; what was heard before is not again.

        An answer whose batch failed is begun anew, so a place may come twice.
        """
        piece = piece[max(self._length - at, 0) :]
        if not piece or self.gone:
            return
        self._length += len(piece)
        self._said.append(piece)
        self._pieces.append(piece)
        self.wake()

    def wake(self, *_: Any) -> None:
        """Have the loop look at what came."""
        try:
            self._loop.call_soon_threadsafe(self._news.set)
        except RuntimeError:
            # The loop was closed under us.
            self.gone = True

    async def pieces(self, asking: asyncio.Future[Response]) -> AsyncIterator[str]:
        """What is heard until the answer is there."""
        asking.add_done_callback(self.wake)
        while True:
            while self._pieces:
                yield self._pieces.popleft()
            if asking.done() and not self._pieces:
                return
            self._news.clear()
            if not self._pieces:
                await self._news.wait()


class _Call:
    """One waiting call of LocalModel.ask."""

    __slots__ = ("asked", "future", "listener", "loop", "request", "size")

    def __init__(self, request: Request, loop: asyncio.AbstractEventLoop) -> None:
        self.request = request
        self.loop = loop
        self.future: asyncio.Future[Response] = loop.create_future()
        self.size = 0
        mine = watched.get()
        self.listener = mine[1] if mine is not None and mine[0] is request else None
        self.asked = clock()


class Batches:
    """The thread that answers for a local model, and (with `ahead`) the one that prepares."""

    def __init__(self, model: LocalModel, *, ahead: bool) -> None:
        self.model = model
        self.boxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, list[_Call]]
        self.boxes = weakref.WeakKeyDictionary()
        self.inbox: SimpleQueue[list[_Call] | None] = SimpleQueue()
        self.ending = False
        self.waiting: list[_Call] = []
        self.wave: Iterator[list[_Call]] = iter(())
        self.most: int | None = None
        self.sizes: Counter[int] = Counter()
        self.listeners: dict[int, Listener] = {}
        self.preparing = _Preparing(model) if ahead else None
        # A daemon: an interrupted program does not wait for a long batch to end.
        self.thread = threading.Thread(target=self._work, name=f"{model.name}.batch", daemon=True)
        self.thread.start()
        _running.add(self)

    async def ask(self, request: Request) -> Response:
        """Wait for the batch that this request ends up in."""
        loop = asyncio.get_running_loop()
        call = _Call(request, loop)
        box = self.boxes.setdefault(loop, [])
        box.append(call)
        if len(box) == 1:
            # Posted once the loop has run all that is ready, so that calls made together stay together.
            loop.call_soon(self._post, loop)
        return await call.future

    def close(self) -> None:
        """End the threads once all that was asked is answered."""
        self.inbox.put(None)

    def _post(self, loop: asyncio.AbstractEventLoop) -> None:
        self.inbox.put(self.boxes.pop(loop))

    def _work(self) -> None:
        batch = self._next()
        while batch is not None:
            ahead = self._look_ahead()
            self._reply(batch)
            if ahead is not None and self.preparing is not None:
                self.preparing.wait()
            batch = ahead or self._next()
        if self.preparing is not None:
            self.preparing.end()

    def _next(self) -> list[_Call] | None:
        """The next batch; waits for one, and gives None once there will be none."""
        while True:
            batch = next(self.wave, None)
            if batch is not None:
                return batch
            self._gather(wait=not self.waiting)
            if self.waiting:
                self.wave, self.waiting = self._cut(self.waiting), []
            elif self.ending:
                return None

    def _look_ahead(self) -> list[_Call] | None:
        """The batch after this one, if it is known and there is something to prepare; it is begun with."""
        if self.preparing is None:
            return None
        batch = next(self.wave, None)
        if batch is None:
            self._gather(wait=False)
            wave = self._cut(self.waiting)
            batch, second = next(wave, None), next(wave, None)
            if second is None:
                # Others may still join this one.
                return None
            self.wave, self.waiting = itertools.chain([second], wave), []
        if batch is not None:
            self.preparing.begin([call.request for call in batch if not call.future.done()])
        return batch

    def _gather(self, *, wait: bool) -> None:
        """Take and measure all calls that are there, if need be `wait` for the first."""
        if wait and not self.ending:
            self._measure(self.inbox.get())
        with suppress(Empty):
            while not self.ending:
                self._measure(self.inbox.get_nowait())

    def _measure(self, calls: list[_Call] | None) -> None:
        if calls is None:
            self.ending = True
            return
        for call in calls:
            try:
                call.size = self.model.length(call.request)
                self.waiting.append(call)
            except BaseException as error:  # noqa: BLE001 - the model boundary
                _deliver([call], [Response(error=describe(error))], clock())

    def _cut(self, wave: Sequence[_Call]) -> Iterator[list[_Call]]:
        """Cut waiting calls into batches of like length, the longest first."""
        model = self.model
        batch: list[_Call] = []
        longest = 0
        for call in sorted(wave, key=lambda call: call.size, reverse=True):
            # Calls given up in the meantime (an interrupted run) are not worth a batch.
            if call.future.done():
                continue
            size = min(model.batch_size, self.most or model.batch_size)
            over = model.batch_tokens is not None and longest * (len(batch) + 1) > model.batch_tokens
            if batch and (len(batch) >= size or over):
                yield batch
                batch = []
            longest = longest if batch else call.size
            batch.append(call)
        if batch:
            yield batch

    def _reply(self, batch: list[_Call]) -> None:
        calls = [call for call in batch if not call.future.done()]
        if not calls:
            return
        begun = clock()
        self.listeners = {id(call.request): call.listener for call in calls if call.listener is not None}
        requests = [call.request for call in calls]
        self.sizes[len(calls)] += 1
        answer = self._answer_metered if self.model.metered else self._answer
        responses = answer(requests)
        _deliver(calls, responses, begun)

    def _answer_metered(self, requests: list[Request]) -> list[Response]:
        try:
            with Meter() as meter:
                responses = self._answer(requests)
        except Exception as error:  # noqa: BLE001 - a device that failed for good cannot be measured either
            return [Response(error=describe(error))] * len(requests)
        part = _part(meter.cost, len(requests))
        return [replace(one, cost=part) if one.cost is None else one for one in responses]

    def _answer(self, requests: list[Request]) -> list[Response]:
        """Answer a batch; where it fails, its halves, so that one bad request costs only itself."""
        name = self.model.name
        try:
            responses = list(self.model.batch(requests))
            if len(responses) != len(requests):
                given = f"{len(responses)} answers to {len(requests)} requests"
                return [Response(error=f"{name} gave {given}")] * len(requests)
            return [
                response if isinstance(response, Response) else _odd(name, response) for response in responses
            ]
        # A model that exits or interrupts itself would end this thread, and all would wait for ever.
        except BaseException as error:  # noqa: BLE001 - the model boundary: a failure is an answer
            failure = describe(error)
            short_of_memory = _is_out_of_memory(error)
        # Outside the handler: the traceback, and the tensors it holds, are gone here.
        if len(requests) == 1:
            return [Response(error=failure)]
        half = len(requests) // 2
        if short_of_memory:
            self.most = half
            self.model.free()
        return self._answer(requests[:half]) + self._answer(requests[half:])


_running: weakref.WeakSet[Batches] = weakref.WeakSet()


@atexit.register
def _leave() -> None:
    """Let the batches under way end: a thread that is in torch when Python goes aborts the process."""
    if "torch" not in sys.modules:
        return
    end, left = clock() + _PATIENCE, list(_running)
    for batches in left:
        batches.close()
    for batches in left:
        batches.thread.join(max(0.0, end - clock()))


class _Preparing:
    """The thread on which a model prepares one batch while it answers another."""

    def __init__(self, model: LocalModel) -> None:
        self.model = model
        self.inbox: SimpleQueue[list[Request] | None] = SimpleQueue()
        self.done = threading.Event()
        self.done.set()
        threading.Thread(target=self._work, name=f"{model.name}.prepare", daemon=True).start()

    def begin(self, requests: list[Request]) -> None:
        """Prepare a batch; nothing of one that was given up."""
        if requests:
            self.done.clear()
            self.inbox.put(requests)

    def wait(self) -> None:
        """Wait until it is prepared."""
        self.done.wait()

    def end(self) -> None:
        """End the thread."""
        self.inbox.put(None)

    def _work(self) -> None:
        while (requests := self.inbox.get()) is not None:
            try:
                self.model.prepare(requests)
            except BaseException:  # noqa: BLE001, S112 - `batch` meets it again, and answers for it
                continue
            finally:
                # Not a moment longer than needed: what is prepared may be large.
                del requests
                self.done.set()


def _odd(name: str, response: object) -> Response:
    return Response(error=f"{name} gave a {type(response).__name__}, not a Response")


def _part(cost: Cost, shared: int) -> Cost:
    """One answer's part of what a batch cost."""
    energy = cost.gpu_energy_joules
    return replace(
        cost,
        wall=round(cost.wall, _DIGITS),
        cpu=round(cost.cpu / shared, _DIGITS),
        gpu_energy_joules=None if energy is None else round(energy / shared, _DIGITS),
        shared=shared,
    )


def _deliver(calls: list[_Call], responses: list[Response], begun: float) -> None:
    """Hand the answers of a batch to the loops that wait for them."""
    done = clock()
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Call, Response]]] = {}
    for call, one in zip(calls, responses):
        timing = _timing(one.timing, asked=call.asked, begun=begun, done=done)
        # Made by hand: of a quick function's time per answer, `replace` would take a quarter.
        timed = Response(one.text, one.scores, one.tokens, timing, one.error, one.raw, one.cost)
        by_loop.setdefault(call.loop, []).append((call, timed))
    for loop, pairs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, pairs)
        except RuntimeError:
            # The loop was closed under us: nobody waits any more.
            continue


def _settle(pairs: list[tuple[_Call, Response]]) -> None:
    for call, response in pairs:
        if not call.future.done():
            call.future.set_result(response)


def _timing(own: Timing | None, *, asked: float, begun: float, done: float) -> Timing:
    """When an answer was asked for, begun, written and there: as the model says, within what is true."""
    # Waiting for a batch is not the model's time: it counts as lag.
    sent = begun
    chunks: Sequence[float] = ()
    if own is not None:
        sent = own.sent if asked <= own.sent <= done else begun
        done = own.done if sent <= own.done <= done else done
        chunks = own.chunks
    if chunks:
        if not sent <= chunks[0] <= chunks[-1] <= done:
            chunks = [min(max(stamp, sent), done) for stamp in chunks]
        chunks = [round(stamp, _DIGITS) for stamp in chunks]
    return Timing(round(asked, _DIGITS), round(sent, _DIGITS), chunks, round(done, _DIGITS))


def _is_out_of_memory(error: BaseException) -> bool:
    # By name: torch.OutOfMemoryError without importing torch; some backends raise RuntimeError.
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "out of memory" in str(error).lower())
    )
