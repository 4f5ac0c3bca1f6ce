"""What the values of flags are read by: numbers, times, shares; what is none of them is said so.

>>> read_duration("10m")
600.0
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import Any

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def read_duration(text: str) -> float:
    """Seconds, or a number with its unit."""
    found = re.fullmatch(r"([\d.]+) ?([smhd]?)", text.strip().lower())
    try:
        value = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    except ValueError:
        value = 0.0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time: 90, 90s, 10m, 2h, 1d")
    return value


def read_rate(text: str) -> float:
    """How many a second; a number a second, a minute or an hour."""
    found = re.fullmatch(r"([\d.]+) ?(?:/ ?(s|m|min|h))?", text.strip().lower())
    try:
        value = float(found[1]) / _SECONDS[(found[2] or "s")[0]] if found else 0.0
    except ValueError:
        value = 0.0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a rate: 5, 0.5, 300/m, 1000/h")
    return value


def read_share(text: str) -> float:
    """A share between 0 and 1, or in percent."""
    found = re.fullmatch(r"(\d*\.?\d+) ?(%?)", text.strip())
    value = float(found[1]) / (100 if found[2] else 1) if found else 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share between 0 and 1, as in 95%")
    return value


def read_workers(text: str) -> int | str:
    """A number of processes, or auto."""
    if text == "auto":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor a number of processes")
    return int(text)


def read_failures(text: str) -> float:
    """A number of failures, or a share of all questions below 1; infinite for all of them."""
    found = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?) ?%", text.strip())
    if found is None or float(found[2] or 0) > 100:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of failures nor a share such as 5%")
    if found[1]:
        return float(found[1])
    share = float(found[2]) / 100
    return share if share < 1 else float("inf")


def read_number(kind: type, least: float | None = None) -> Callable[[str], Any]:
    """A reader of numbers that says what it wants."""

    def read(text: str) -> Any:
        bound = "" if least is None else f" of at least {least:g}"
        what = ("a whole number" if kind is int else "a number") + bound
        wrong = argparse.ArgumentTypeError(f"{text!r} is not {what}")
        if not re.fullmatch(r"[+-]?[\d_.]+(e[+-]?\d+)?", text, re.I):
            raise wrong
        try:
            value = kind(text)
        except ValueError:
            raise wrong from None
        if least is not None and value < least:
            raise wrong
        return value

    return read
