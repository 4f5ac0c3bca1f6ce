"""Metrics of an order of pages: rank correlation with the right order, and whether it is the right one.

    >>> target = Sample("1", "", target="2, 3, 1")
    >>> round(kendall(target, Response("Page 3, page 2, page 1")), 3), pages_exact(target, Response("2 3 1"))
    (0.333, True)

The target is an order as a text or as a list of page numbers (or letters); a list of these is several
acceptable ones, of which the best counts. An order of fewer than two pages has no correlation.

An answer that leaves pages out, names some twice or names ones that are not there is compared where it
can be: the correlation over the pages it names (where it names them first) is multiplied with the share
of the pairs of pages that are these. A page too many counts like a page left out. So only the whole
order is a perfect one, and an answer without any order is worth 0, as one that is no better than chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from steelyard.errors import DataError
from steelyard.metrics.extraction.orders import find_order, labels_of
from steelyard.types import Response, Sample


def kendall(sample: Sample, response: Response) -> float | None:
    """Kendall's tau-b of the order given and the right one: 1 is the same, -1 the reverse."""
    return _best(sample, response, _tau)


def spearman(sample: Sample, response: Response) -> float | None:
    """Spearman's rho of the order given and the right one: 1 is the same, -1 the reverse."""
    return _best(sample, response, _rho)


def pages_exact(sample: Sample, response: Response) -> bool | None:
    """Whether the order given is the right one, page for page."""
    targets = target_orders(sample)
    return read_order(response.text) in targets if targets else None


def read_order(text: str) -> list[str]:
    """The pages that a text puts in order; none where it gives no order."""
    return labels_of(str(find_order(text).value or ""))


def target_orders(sample: Sample) -> list[list[str]]:
    """The acceptable orders of a sample."""
    target = sample.target
    if target is None:
        return []
    if not isinstance(target, (list, tuple)):
        return [_order(target, sample)]
    plain = all(isinstance(one, int) or (isinstance(one, str) and len(_words(one)) < 2) for one in target)
    return [_order(target, sample)] if plain else [_order(one, sample) for one in target]


def _order(target: Any, sample: Sample) -> list[str]:
    if isinstance(target, (list, tuple)):
        found = [word for one in target for word in _words(str(one))]
        whole = len(found) == len(target)
    else:
        found, whole = _words(str(target)), True
    if not found or not whole or len(set(found)) < len(found):
        hint = "each page once, as in 2, 3, 1"
        raise DataError(f"the target of sample {sample.id!r} is no order: {target!r}", hint=hint)
    return found


def _words(text: str) -> list[str]:
    return labels_of(str(find_order(text).value or ""))


Correlation = Callable[[Sequence[int]], float]
"""Of the places that pages have in the right order, in the order given; no place stands twice."""


def _best(sample: Sample, response: Response, correlate: Correlation) -> float | None:
    orders = [order for order in target_orders(sample) if len(order) > 1]
    if not orders:
        return None
    given = read_order(response.text)
    return max(_compare(given, order, correlate) for order in orders)


def _compare(given: Sequence[str], right: Sequence[str], correlate: Correlation) -> float:
    named = [page for page in dict.fromkeys(given) if page in right]
    if len(named) < 2:
        return 0.0
    pages = len(right) + len(given) - len(named)
    share = math.comb(len(named), 2) / math.comb(pages, 2)
    places = sorted(right.index(page) for page in named)
    return share * correlate([places.index(right.index(page)) for page in named])


def _tau(places: Sequence[int]) -> float:
    count = len(places)
    falling = sum(places[j] < places[i] for i in range(count) for j in range(i + 1, count))
    return 1 - 2 * falling / math.comb(count, 2)


def _rho(places: Sequence[int]) -> float:
    count = len(places)
    squares = sum((place - i) ** 2 for i, place in enumerate(places))
    return 1 - 6 * squares / (count * (count**2 - 1))
