"""What a model says that it spent, in words: how fast it listens, and where the time of a run goes.

>>> told = dict(tell_model({"audio_seconds": 6000, "decoding": 60, "waiting": 30, "network": 50}, 100.0))
>>> told["sound"]
'6,000 s listened to, 60 s in a second'
>>> told["waiting for sound"]
'30 s, 30 % of the run: decoding is the bottleneck, more workers=N may help'
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_TOLD = ("audio_seconds", "decoded_seconds", "decoding", "waiting", "network", "scoring")
_MUCH = 0.2
_MOST = 0.6


def tell_model(spent: Mapping[str, Any], wall: float | None) -> Iterator[tuple[str, str]]:
    """Each figure with its name; `wall` is how long the run took, where that is known."""
    number = {name: float(value) for name, value in spent.items() if isinstance(value, (int, float))}
    if heard := number.get("audio_seconds"):
        yield (
            "sound",
            f"{_seconds(heard)} listened to" + (f", {_seconds(heard / wall)} in a second" if wall else ""),
        )
    if decoding := number.get("decoding"):
        decoded = number.get("decoded_seconds", 0.0)
        fast = (
            f" for {_seconds(decoded)} of sound, {decoded / decoding:,.0f} s in a second" if decoded else ""
        )
        yield "decoding", f"{_seconds(decoding)} of all threads{fast}"
    waiting, network = number.get("waiting"), number.get("network")
    if waiting is not None:
        slow = wall and waiting >= _MUCH * wall
        yield (
            "waiting for sound",
            _share(waiting, wall) + (": decoding is the bottleneck, more workers=N may help" if slow else ""),
        )
    if network is not None:
        slow = wall and network >= _MOST * wall
        yield "network", _share(network, wall) + (": it is the bottleneck" if slow else "")
    elif scoring := number.get("scoring"):
        yield "in the model's code", _share(scoring, wall)
    rest = [f"{name.replace('_', ' ')} {value:,.6g}" for name, value in number.items() if name not in _TOLD]
    if rest:
        yield "the model counts", ", ".join(rest)


def _share(value: float, wall: float | None) -> str:
    return _seconds(value) + (f", {100 * value / wall:.0f} % of the run" if wall else "")


def _seconds(value: float) -> str:
    return f"{value:,.3g} s" if value < 100 else f"{value:,.0f} s"
