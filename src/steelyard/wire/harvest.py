"""Harvest: an answer that is taken in while it comes, of which only what it says stays, and when.

    harvest = Harvest(exchange)
    harvest.take(body, times, places, kind)        each time that some more of the body came
    responses = harvest.end(headers)
    harvest.times                                  when each of its token events was in

So an answer of any length costs the text that it says and eight bytes a token; and not even the text
where nobody will look at it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence

from steelyard.types import Response
from steelyard.wire.base import Exchange
from steelyard.wire.events import EventReader, are_events


class Harvest:
    """What came of one answer so far."""

    __slots__ = ("_are", "_events", "_exchange", "_whole", "times")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._events = EventReader()
        self._whole = bytearray()
        self._are = False
        self.times = array("d")

    def take(self, body: bytes, times: Sequence[float], places: Sequence[int], kind: str) -> None:
        """Take what follows of a body of this content type, and when its blocks were in."""
        if not self._are:
            self._whole += body
            # Some services say nothing of events, or answer whole all the same.
            if self._whole.startswith(b"{") or not (
                kind.startswith("text/event-stream") or are_events(self._whole)
            ):
                return
            self._are, body, self._whole = True, bytes(self._whole), bytearray()
        place, last = 0, len(places) - 1
        for end in self._exchange.decode_events(self._events.read(body)):
            place = bisect_left(places, end, place, last)
            self.times.append(times[place])

    def end(self, headers: Mapping[str, str]) -> Sequence[Response]:
        """The responses in the answer, which is whole; a DataError where it is none."""
        if self._are:
            return self._exchange.decode_end()
        return self._exchange.decode_answer(bytes(self._whole), headers)
