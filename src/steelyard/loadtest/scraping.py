"""What a server tells of itself while it is under load: a line a second beside the run.

    scraper = open_scraper(model, path)                 path: RUN/server.jsonl
    await scraper.look()                                before, between and behind stages
    watching = asyncio.create_task(scraper.watch())     and meanwhile; or: with keep_looking(scraper): …
    scraper.trouble                                     why there is nothing, if so

The credentials of a model go to its own address and to no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from steelyard.errors import ModelError, SteelyardError, UsageError, describe
from steelyard.models.base import Model
from steelyard.models.client import Client
from steelyard.timings.gauges import Taken, merge, take_values
from steelyard.wire.addresses import read_address
from steelyard.wire.expositions import read_exposition

EVERY = 1.0

_PATIENCE = 5.0
_OFTEN = 0.2
"""So many seconds are between two looks at first, and later such a share of the time so far."""
_TRITON = 8002
"""Where Triton tells of itself, whatever port it answers at."""


class Place:
    """An address at which a server may tell of itself."""

    def __init__(self, client: Client, path: str) -> None:
        self.client, self.path = client, path
        self.shown = client.where.partition("/")[0] + path

    async def look(self) -> Taken:
        """What is told there; a ModelError where nothing is, or nothing that we know."""
        try:
            answer = await asyncio.wait_for(self.client.fetch(self.path), _PATIENCE)
        except asyncio.TimeoutError:
            raise ModelError(f"no answer within {_PATIENCE:g} s") from None
        taken = take_values(read_exposition(answer.body))
        if not taken.values:
            raise ModelError("nothing in it is known")
        return taken


class Scraper:
    """Looks at a server's metrics, and writes down what it sees."""

    def __init__(self, places: Sequence[Sequence[Place]], path: Path, *, every: float = EVERY) -> None:
        """`places` are those of each server, of which the first that tells anything is kept."""
        if not every > 0:
            raise UsageError(f"every is {every}", hint="it must be more than 0 seconds")
        self.places = [list(known) for known in places]
        self.path, self.every = path, every
        self.trouble: str | None = None
        self.seen = False
        """Whether anything was ever told."""
        self._histograms: dict[str, Any] = {}
        self._lock = asyncio.Lock()

    async def look(self) -> bool:
        """Look once, and store a line; whether anything was told."""
        async with self._lock:
            took = await asyncio.gather(*map(self._look_at, self.places))
            told = [one for one in took if isinstance(one, Taken)]
            failed = [one for one in took if isinstance(one, str)]
            if not self.seen and not told:
                # Where nothing ever was there is nothing to be missed: one word, and no lines.
                self.trouble = f"no metrics of the server: {'; '.join(failed)}" if failed else None
                return False
            self.seen, self.trouble = True, None
            self._store(told, failed)
            return not failed

    async def watch(self) -> None:
        """Look again and again until cancelled; a server that tells nothing at all is left alone."""
        due = time.monotonic()
        for pause in list_pauses(self.every):
            if not (await self.look() or self.seen):
                return
            due = max(due + pause, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    async def _look_at(self, known: list[Place]) -> Taken | str:
        failures = []
        for place in known:
            try:
                taken = await place.look()
            except (SteelyardError, ValueError) as error:
                failures.append(
                    f"{place.shown}: {error if isinstance(error, SteelyardError) else describe(error)}"
                )
            else:
                known[:] = [place]
                return taken
        return "; ".join(failures)

    def _store(self, told: Sequence[Taken], failed: Sequence[str]) -> None:
        line: dict[str, Any] = {"t": round(time.time(), 6)}
        if failed:
            # Without one of them sums would say that the others had done less.
            line["error"] = "; ".join(failed)
        else:
            taken = merge(told) if len(told) > 1 else told[0]
            line["values"] = {name: _short(value) for name, value in taken.values.items()}
            changed = {
                name: counts for name, counts in taken.histograms.items() if self._changed(name, counts)
            }
            if changed:
                line["histograms"] = changed
        with contextlib.suppress(OSError), self.path.open("ab") as file:
            # A full disk is told by what matters more.
            file.write(msgspec.json.encode(line) + b"\n")

    def _changed(self, name: str, counts: Any) -> bool:
        before, self._histograms[name] = self._histograms.get(name), counts
        return bool(before != counts)


def list_pauses(every: float) -> Iterator[float]:
    """How long to wait between looks: not so long at first, for a stage may be short."""
    elapsed = 0.0
    while True:
        yield (pause := min(every, max(_OFTEN, _OFTEN * elapsed)))
        elapsed += pause


@contextlib.contextmanager
def keep_looking(scraper: Scraper) -> Iterator[Scraper]:
    """Look at the server from a thread of its own during a `with` block, at its begin and its end too.

    Where nothing was told before, nobody waits at the end.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_run_until_stopped, args=[loop], name="scraping", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(scraper.look(), loop).result()
        watching = asyncio.run_coroutine_threadsafe(scraper.watch(), loop)
        try:
            yield scraper
        finally:
            watching.cancel()
            if scraper.seen:
                asyncio.run_coroutine_threadsafe(scraper.look(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _run_until_stopped(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop until it is stopped, and close it."""
    loop.run_forever()
    # An interrupt may leave a look under way, which a loop must not be closed over.
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left))
    loop.close()


def open_scraper(
    model: Model, path: Path, *, given: str | Sequence[str] | None = None, every: float = EVERY
) -> Scraper:
    """A scraper of the addresses given, else of where the service of a model would tell of itself."""
    return Scraper(find_places(model, given), path, every=every)


def find_places(model: Model, given: str | Sequence[str] | None = None) -> list[list[Place]]:
    """The addresses to look at; none for a model that is no service."""
    client = getattr(model, "client", None)
    own = client if isinstance(client, Client) else None
    if given is not None:
        urls = given.split(",") if isinstance(given, str) else list(given)
        return [[_place(url.strip(), own)] for url in urls]
    url = getattr(model, "url", None)
    if own is None and not (isinstance(url, str) and url.startswith(("http://", "https://"))):
        return []
    client = own or Client(str(url))
    asked = read_address(client.url).target.partition("?")[0]
    before = re.sub(r"/(v[12]|generate|generate_stream|infer|models)(/.*)?$", "", asked)
    paths = dict.fromkeys(("/metrics", f"{before.rstrip('/')}/metrics" if before != asked else "/metrics"))
    places = [Place(client, path) for path in paths]
    if "/v2/models/" in asked and (aside := _beside(client.url)):
        places.append(_place(aside, None))
    return [places]


def _place(url: str, own: Client | None) -> Place:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.path in ("", "/"):
        parts = parts._replace(path="/metrics")
    address = read_address(urlunsplit(parts))
    if own is not None and address[:4] == read_address(own.url)[:4]:
        return Place(own, address.target)
    return Place(Client(urlunsplit(parts)), address.target)


def _beside(url: str) -> str | None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{_TRITON}/metrics"


def _short(value: float) -> float | int:
    return int(value) if value == int(value) and abs(value) < 2**53 else float(f"{value:.9g}")
