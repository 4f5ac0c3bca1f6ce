"""Lengths that vary: how many tokens a prompt has, how many seconds a user thinks.

    128                             always so many
    uniform:50:150                  each whole number from 50 to 150 alike
    normal:512:128                  around 512 with a standard deviation of 128, at least 1
    normal:512:128:16:1024          the same, between 16 and 1024
    lognormal:512:400               mean and standard deviation of the lengths themselves, a long tail
    exponential:2.5                 a mean of 2.5
    zipf:1.2:16:4096                the k-th number from 16 on is as likely as 1 / k ** 1.2
    file:lengths.txt                drawn of those recorded in a file, a number a line
    file:log.csv:output_tokens      … or in a column of one

What falls outside of its limits is drawn again, so that nothing piles up at them.
"""

from __future__ import annotations

import math
import random
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path
from typing import Any

from steelyard.data.files import find_files, fingerprint, is_data_file
from steelyard.data.references import open_origin
from steelyard.data.rows import BadRow
from steelyard.errors import DataError, UnknownName, UsageError

_MOST = 10_000_000
_TRIES = 1000
_FORMS = {
    "fixed": "fixed:128",
    "uniform": "uniform:50:150",
    "normal": "normal:512:128, or with limits normal:512:128:16:1024",
    "lognormal": "lognormal:512:400, or with limits lognormal:512:400:16:4096",
    "exponential": "exponential:2.5, or with limits exponential:2.5:0.1:30",
    "zipf": "zipf:1.2:16:4096",
    "file": "file:lengths.txt, file:log.csv:COLUMN",
}
_OTHER_NAMES = {"gaussian": "normal", "gauss": "normal", "constant": "fixed", "empirical": "file"}
_COUNTS = {
    "fixed": (1,),
    "uniform": (2,),
    "normal": (2, 3, 4),
    "lognormal": (2, 3, 4),
    "exponential": (1, 2, 3),
    "zipf": (3,),
}


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths that can be drawn; `spec` says which, and `digest` what is in its file, if it has one."""

    spec: str
    draw: Callable[[random.Random], Any]
    digest: str | None = None

    def identity(self) -> Any:
        """What makes these lengths these lengths."""
        return self.spec if self.digest is None else [self.spec, self.digest]


def read_lengths(given: Any, *, name: str = "length", least: float = 1, whole: bool = True) -> Lengths:
    """What a number, a text as above, or a list of recorded lengths says."""
    if isinstance(given, Lengths):
        return given
    if isinstance(given, bool) or given is None:
        raise _unreadable(name, given)
    if isinstance(given, (list, tuple, array)):
        return _recorded(f"{len(given)} recorded", given, name=name, least=least, whole=whole)
    text = str(given).strip()
    if _number(text) is not None:
        text = f"fixed:{text}"
    kind, _, rest = text.partition(":")
    kind = _OTHER_NAMES.get(kind.strip().lower(), kind.strip().lower())
    if kind == "file":
        return _read_file(rest, name=name, least=least, whole=whole)
    if kind not in _COUNTS:
        raise UnknownName(f"form of {name}", kind, _FORMS, hint="as in 128, uniform:50:150, normal:512:128")
    numbers = [_number(part) for part in rest.split(":")]
    if None in numbers or len(numbers) not in _COUNTS[kind]:
        raise UsageError(f"{name}={text} cannot be read", hint=f"as in {_FORMS[kind]}")
    return Lengths(
        str(given).strip(), _make(kind, [n for n in numbers if n is not None], f"{name}={text}", least, whole)
    )


def _make(
    kind: str, numbers: Sequence[float], what: str, least: float, whole: bool
) -> Callable[[random.Random], Any]:
    """What draws lengths of a kind."""
    if kind == "fixed":
        return partial(_fixed, value=_check(numbers[0], what, least, whole))
    if kind == "uniform":
        low, high = (_check(number, what, least, whole) for number in numbers)
        _check_order(low, high, what)
        return partial(_uniform, low=low, high=high, whole=whole)
    if kind == "zipf":
        low, high = (_check(number, what, least, True) for number in numbers[1:])
        _check_order(low, high, what)
        if numbers[0] < 0 or high - low > _MOST:
            raise UsageError(f"{what}: no such distribution", hint="an exponent of 0 or more, fewer values")
        table = array("d", accumulate(k ** -numbers[0] for k in range(1, int(high - low) + 2)))
        return partial(_zipf, low=int(low), table=table)
    shape = 1 if kind == "exponential" else 2
    low = max(least, numbers[shape]) if len(numbers) > shape else least
    high = numbers[shape + 1] if len(numbers) > shape + 1 else math.inf
    _check_order(low, high, what)
    mean = _check(numbers[0], what, 0, False)
    spread = 0.0 if shape == 1 else _check(numbers[1], what, 0, False)
    if kind == "normal":
        return partial(
            _within, one=partial(_normal, mean=mean, spread=spread), low=low, high=high, whole=whole
        )
    if not mean > 0:
        raise UsageError(f"{what}: its mean is {mean:g}", hint="it must be more than 0")
    if kind == "exponential":
        return partial(_within, one=partial(_exponential, mean=mean), low=low, high=high, whole=whole)
    square = math.log1p((spread / mean) ** 2)
    one = partial(_lognormal, mu=math.log(mean) - square / 2, sigma=math.sqrt(square))
    return partial(_within, one=one, low=low, high=high, whole=whole)


def _fixed(source: random.Random, *, value: float) -> Any:
    return value


def _uniform(source: random.Random, *, low: float, high: float, whole: bool) -> Any:
    return source.randint(int(low), int(high)) if whole else source.uniform(low, high)


def _normal(source: random.Random, *, mean: float, spread: float) -> float:
    return source.gauss(mean, spread)


def _exponential(source: random.Random, *, mean: float) -> float:
    return source.expovariate(1 / mean)


def _lognormal(source: random.Random, *, mu: float, sigma: float) -> float:
    return source.lognormvariate(mu, sigma)


def _zipf(source: random.Random, *, low: int, table: array[float]) -> int:
    return low + min(bisect_left(table, source.random() * table[-1]), len(table) - 1)


def _within(
    source: random.Random, *, one: Callable[[random.Random], float], low: float, high: float, whole: bool
) -> Any:
    """One that lies between the limits; where hardly any does, the nearest limit."""
    for _ in range(_TRIES):
        drawn = one(source)
        value = round(drawn) if whole else drawn
        if low <= value <= high:
            return value
    value = min(max(drawn, low), high)
    return math.ceil(value) if whole else value


def _one_of(source: random.Random, *, values: Sequence[float], whole: bool) -> Any:
    value = values[int(source.random() * len(values))]
    return int(value) if whole else value


def _recorded(
    spec: str, values: Sequence[Any], *, name: str, least: float, whole: bool, digest: str | None = None
) -> Lengths:
    if not values:
        raise DataError(f"{name}: no length is recorded", hint="at least one is needed")
    kept = array("d", (_check(value, f"{name}: {value!r}", least, whole) for value in values))
    if digest is None:
        digest = blake2b(kept.tobytes(), digest_size=12).hexdigest()
    return Lengths(spec, partial(_one_of, values=kept, whole=whole), digest)


def _read_file(rest: str, *, name: str, least: float, whole: bool) -> Lengths:
    path, colon, column = rest.rpartition(":")
    if not colon or Path(rest).expanduser().is_file():
        path, column = rest, ""
    values: list[float] = []
    if column or is_data_file(path):
        origin, chosen = open_origin(path), column
        for where, number, row in origin.rows():
            if isinstance(row, BadRow):
                raise row.at(f"{where} {number}")
            chosen = chosen or next(iter(row))
            value = row.get(chosen)
            values.append(_length_in(f"{where} {number}", value, chosen, least))
    else:
        found = find_files(path) or []
        if len(found) != 1:
            raise DataError(f"there is no file {path}", hint=f"{name}={_FORMS['file']}")
        with found[0].open(encoding="utf-8", errors="replace") as lines:
            values = [
                _length_in(f"{path}, line {number}", line.strip(), "", least)
                for number, line in enumerate(lines, 1)
                if line.strip()
            ]
    (file, *_) = find_files(path) or [Path(path)]
    told = f"file:{file.name}" + (f":{column}" if column else "")
    return _recorded(told, values, name=name, least=least, whole=whole, digest=fingerprint(file).digest)


def _length_in(where: str, value: Any, column: str, least: float) -> float:
    number = None if isinstance(value, bool) else _number(str(value))
    if number is None or number < least:
        what = f" as {column!r}" if column else ""
        raise DataError(f"{where}: expected a number of at least {least:g}{what}, saw {value!r}")
    return number


def _check(value: Any, what: str, least: float, whole: bool) -> Any:
    number = None if isinstance(value, bool) else _number(str(value))
    if number is None or number < least or (whole and number != int(number)):
        kind = "a whole number" if whole else "a number"
        raise UsageError(f"{what} cannot be read", hint=f"{kind} of at least {least:g} was expected")
    return int(number) if whole else number


def _check_order(low: float, high: float, what: str) -> None:
    if low > high:
        raise UsageError(f"{what}: its least, {low:g}, is more than its most, {high:g}")


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _unreadable(name: str, given: Any) -> UsageError:
    return UsageError(f"{name} is {given!r}", hint="a number, or " + ", ".join(_FORMS.values()))
