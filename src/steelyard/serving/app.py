"""The ASGI application: a call is let in, understood by its wire, answered by its model, and counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from steelyard import __version__
from steelyard.errors import SteelyardError, describe, locate
from steelyard.models.base import clock
from steelyard.serving.answers import Gathered, Served, pieces_of
from steelyard.serving.counting import PATH as COUNTING
from steelyard.serving.counting import accept_count, tell_tokens
from steelyard.serving.keys import Keys
from steelyard.serving.metrics import KIND, Metrics
from steelyard.serving.requests import fit_all
from steelyard.serving.routes import Route, Routes
from steelyard.serving.visits import Gone, Limits, Receive, Refusal, Scope, Send, Visit, plain_path
from steelyard.types import Request, Response
from steelyard.wire.base import Call, Exchange

T = TypeVar("T")

# Those of Kubernetes' habit and of Triton among them; whoever watches a server needs no key.
_HEALTH = frozenset(
    "/health /health/live /health/ready /healthz /livez /readyz /v2/health/live /v2/health/ready".split()
)
_EVENTS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    # Proxies that collect an answer before they pass it on.
    "X-Accel-Buffering": "no",
}
_JSON = "application/json"
# As many as libraries put into one call; one with more would have the queue to itself.
_MOST_TOGETHER = 2048
# A model that never waits would otherwise keep everybody waiting, also to be told that its asker is gone.
_IN_A_ROW = 16
# A larger body takes a while to be read, in which others would wait.
_LARGE = 2**18


class Application:
    """Answers every call, whatever is in it."""

    def __init__(
        self,
        models: Mapping[str, Served],
        routes: Routes,
        *,
        keys: Keys | None,
        limits: Limits,
        log: Callable[[str], None],
        access: bool,
    ) -> None:
        self.models, self.routes, self.keys = models, routes, keys
        self.limits = limits
        self.metrics = Metrics()
        self.ending = False
        self._log, self._access = log, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        if scope["type"] != "http":
            return
        visit = Visit(scope, receive, send)
        try:
            await self._answer(visit)
        except Gone:
            visit.status = 0
        except Refusal as refusal:
            await self._refuse(visit, refusal)
        except Exception as error:  # noqa: BLE001 - one call must not end the others
            self._log(f"{visit.method} {visit.path}: {describe(error)} ({locate(error)})")
            await self._refuse(visit, Refusal(500, "the server failed; it has noted why"))
        finally:
            self._count(visit)

    async def _answer(self, visit: Visit) -> None:
        path = plain_path(visit.path)
        if visit.method in ("GET", "HEAD") and any(rest in _HEALTH for rest, _ in self._readings(path)):
            ready = not self.ending
            await visit.reply(200 if ready else 503, b'{"status":"ok"}' if ready else b'{"status":"ending"}')
            return
        if self.keys is not None and not self.keys.fit(visit.headers):
            asked = {"WWW-Authenticate": "Bearer"}
            raise Refusal(401, "the API key is missing or wrong", headers=asked)
        if "origin" in visit.headers:
            # Whatever page somebody has open could ask a server on their machine.
            raise Refusal(403, "pages in browsers are not answered (CORS is off)")
        if visit.method in ("GET", "HEAD") and (told := self._describe(path)) is not None:
            body, kind = told
            await visit.reply(200, body, kind=kind)
            return
        route, path, model = self._find(path)
        if route is None:
            # Triton is asked for its models by POST.
            if visit.method == "POST" and (told := self._describe(path)) is not None:
                await visit.read(self.limits)
                await visit.reply(200, told[0], kind=told[1])
                return
            if visit.method == "POST" and await self._counts(visit, path):
                return
            raise Refusal(404, f"there is nothing at {visit.path}")
        visit.wire, visit.route = route.name, route.pattern
        if visit.method != "POST":
            raise Refusal(405, f"{visit.path} takes POST", headers={"Allow": "POST"})
        await self._exchange(visit, route, Call(path, visit.headers, b""), model)

    def _describe(self, path: str) -> tuple[bytes, str] | None:
        """What a GET says, and of what kind it is; None where nothing is known of the path."""
        if path == "/metrics":
            return self.metrics.tell(served.standing() for served in self.models.values()), KIND
        for rest, name in self._readings(path):
            models = list(self.models) if name is None else [name]
            told = self.routes.describe(rest, models)
            if told is None and rest == "/":
                told = {"steelyard": __version__, "models": models, "wires": list(self.routes.wires)}
            if told is not None:
                return (told, "") if isinstance(told, bytes) else (msgspec.json.encode(told), _JSON)
        return None

    def _find(self, path: str) -> tuple[Route | None, str, str | None]:
        """Who answers a path, what is left of it, and the model that it names."""
        for rest, name in self._readings(path):
            if route := self.routes.find(rest):
                return route, rest, name or route.model
        return None, path, None

    def _readings(self, path: str) -> Iterator[tuple[str, str | None]]:
        """A path as it stands, and without the name of a model, which it then is about alone."""
        yield path, None
        for name in self.models:
            if path == f"/{name}" or path.startswith(f"/{name}/"):
                yield path.removeprefix(f"/{name}") or "/", name

    async def _exchange(self, visit: Visit, route: Route, call: Call, model: str | None) -> None:
        body = await visit.read(self.limits)
        if self.ending:
            raise Refusal(503, "the server is ending", headers={"Connection": "close"})
        large = len(body) > _LARGE
        exchange = await _understand(large, route.wire.accept, call._replace(body=body))
        served = self._choose(model or exchange.model)
        visit.model = exchange.model = served.name
        if exchange.embeds != served.embeds:
            raise Refusal(400, f"{served.name} gives {'vectors alone' if served.embeds else 'no vectors'}")
        if len(exchange.requests) > _MOST_TOGETHER:
            raise Refusal(400, f"{len(exchange.requests)} questions in one call: at most {_MOST_TOGETHER}")
        if served.places.full:
            wait = {"Retry-After": str(served.places.patience)}
            raise Refusal(429, f"{served.places.waiting} requests wait already", headers=wait)
        requests = await _understand(large, fit_all, exchange.requests, served.model)
        answering = self._stream if exchange.stream else self._give
        await self._attended(visit, answering(visit, exchange, served, requests))

    async def _counts(self, visit: Visit, path: str) -> bool:
        """Tell the tokens of a prompt, where a path asks for them; False where it does not."""
        named = [name for rest, name in self._readings(path) if rest == COUNTING]
        if not named or "openai" not in self.routes.wires:
            return False
        body = await visit.read(self.limits)
        large = len(body) > _LARGE
        exchange = await _understand(large, accept_count, Call(path, visit.headers, body))
        served = self._choose(named[0] or exchange.model)
        await visit.reply(200, await _understand(large, tell_tokens, exchange.requests[0], served.model))
        return True

    def _choose(self, name: str | None) -> Served:
        """The model of a name; one that stands alone needs none."""
        if not name:
            if len(self.models) == 1:
                return next(iter(self.models.values()))
            raise Refusal(400, f"the call names no model: {', '.join(self.models)}")
        if name not in self.models:
            raise Refusal(404, f"there is no model {name!r}: {', '.join(self.models)}")
        return self.models[name]

    async def _attended(self, visit: Visit, answering: Coroutine[Any, Any, None]) -> None:
        """Answer, unless whoever called hangs up or it takes too long."""
        # In this task and not in one of its own: there are as many as calls.
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        ends: list[Exception] = []

        def end(reason: Exception) -> None:
            ends.append(reason)
            if task is not None:
                task.cancel()

        gone = loop.create_task(visit.hang_up())
        gone.add_done_callback(hung_up := lambda _: end(Gone()))
        late = Refusal(504, f"no whole answer within {self.limits.timeout:g} s")
        timer = loop.call_later(self.limits.timeout, end, late)
        try:
            await answering
        except asyncio.CancelledError:
            if ends:
                raise ends[0] from None
            if not self.ending:
                raise
            raise Refusal(503, "the server ended before the answer did") from None
        finally:
            timer.cancel()
            gone.remove_done_callback(hung_up)
            gone.cancel()

    async def _give(
        self, visit: Visit, exchange: Exchange, served: Served, requests: Sequence[Request]
    ) -> None:
        """Answer whole."""
        if len(requests) == 1:
            responses = [await self._ask(served, requests[0], partial=exchange.partial)]
        else:
            asking = [
                asyncio.ensure_future(self._ask(served, one, partial=exchange.partial)) for one in requests
            ]
            try:
                responses = await asyncio.gather(*asking)
            finally:
                for one in asking:
                    one.cancel()
        for response in responses:
            self.metrics.count_tokens(served.name, response.tokens)
        try:
            body = exchange.encode_answer(responses)
        except SteelyardError as error:
            # What the model gave is not what was asked for: vectors, scores, an output of that name.
            raise Refusal(400, str(error)) from error
        await visit.reply(200, body, headers=exchange.headers)

    async def _ask(self, served: Served, request: Request, *, partial: bool) -> Response:
        try:
            return await served.answer(request)
        except Refusal as refusal:
            if not partial:
                raise
            return Response(error=refusal.message)

    async def _stream(
        self, visit: Visit, exchange: Exchange, served: Served, requests: Sequence[Request]
    ) -> None:
        """Answer in events; a failure before the first of them is an answer with its own status."""
        gathered = [Gathered(visit.begun) for _ in requests]
        pieces, told = pieces_of(served, requests), 0
        try:
            async for place, chunk in pieces:
                gathered[place].add(chunk)
                event = exchange.encode_chunk(place, chunk)
                if not visit.status:
                    self.metrics.count_first(served.name, clock() - visit.begun)
                    await visit.begin(200, {**_EVENTS, **exchange.headers})
                if event:
                    await visit.write(event)
                told += 1
                if not told % _IN_A_ROW:
                    await asyncio.sleep(0)
        finally:
            await pieces.aclose()
        responses = [one.response() for one in gathered]
        for response in responses:
            self.metrics.count_tokens(served.name, response.tokens)
        if not visit.status:
            await visit.begin(200, {**_EVENTS, **exchange.headers})
        await visit.end(exchange.encode_end(responses))

    async def _refuse(self, visit: Visit, refusal: Refusal) -> None:
        path = plain_path(visit.path)
        route, _, _ = self._find(path)
        wire = self.routes.nearest(path) if route is None else route.wire
        if visit.status:
            # The status is out: all that is left is an event that says so. Without one the connection is
            # cut, lest what was sent so far be taken for a whole answer.
            if event := wire.encode_broken(refusal.message):
                await visit.end(event)
            return
        body = wire.encode_failure(refusal.status, refusal.message)
        await visit.reply(refusal.status, body, headers=refusal.headers)

    def _count(self, visit: Visit) -> None:
        seconds = clock() - visit.begun
        if visit.wire or visit.status >= 400 or not visit.status:
            self.metrics.count_call(
                wire=visit.wire, route=visit.route, model=visit.model, status=visit.status, seconds=seconds
            )
        if self._access:
            shown = visit.path if visit.path.isprintable() else repr(visit.path)
            self._log(f"{visit.method} {shown} {visit.status or 'hung up'} {seconds:.3f} s {visit.model}")


async def _understand(large: bool, read: Callable[..., T], *what: Any) -> T:
    """What is read of a call, on a thread if it is large; a Refusal where nothing can be."""
    try:
        return await asyncio.to_thread(read, *what) if large else read(*what)
    except (SteelyardError, RecursionError) as error:
        raise Refusal(400, str(error)) from error
