"""What a model says that it spent, in words: how fast it listens, and where its time goes.

>>> told = dict(tell_model({"audio_seconds": 6000, "decoding": 60, "waiting": 30, "network": 50}, 60.0))
>>> told["sound"]
'6,000 s listened to, 60 s in a second'
>>> told["bottleneck"]
'decoding, which the network waits for 38 % of its time: more workers=N may help'
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_TOLD = ("audio_seconds", "decoded_seconds", "decoding", "waiting", "network", "scoring")
_MUCH = 0.2
_MOST = 0.6


def tell_model(spent: Mapping[str, Any], pace: float | None = None) -> Iterator[tuple[str, str]]:
    """Each figure with its name; `pace` is how many seconds of sound it heard in one, where that is known."""
    number = {name: float(value) for name, value in spent.items() if isinstance(value, (int, float))}
    if heard := number.get("audio_seconds"):
        fast = f", {_seconds(pace)} in a second" if pace else ""
        yield "sound", f"{_seconds(heard)} listened to{fast}"
    decoding, waiting, network = (number.get(name) for name in ("decoding", "waiting", "network"))
    if decoding:
        decoded = number.get("decoded_seconds", 0.0)
        fast = (
            f" for {_seconds(decoded)} of sound, {decoded / decoding:,.0f} s in a second" if decoded else ""
        )
        yield "decoding", f"{_seconds(decoding)} of all threads{fast}"
    if waiting is not None:
        yield "waiting for sound", _seconds(waiting)
    if network is not None:
        yield "network", f"{_seconds(network)} of all threads"
        if said := _find_bottleneck(decoding or 0.0, waiting, network):
            yield "bottleneck", said
    elif scoring := number.get("scoring"):
        yield "in the model's code", _seconds(scoring)
    rest = [f"{name.replace('_', ' ')} {value:,.6g}" for name, value in number.items() if name not in _TOLD]
    if rest:
        yield "the model counts", ", ".join(rest)


def _find_bottleneck(decoding: float, waiting: float | None, network: float) -> str:
    """What a run would be faster without; nothing where neither is clearly slower."""
    if waiting is not None and (whole := waiting + network):
        if waiting >= _MUCH * whole:
            share = f"{100 * waiting / whole:.0f} %"
            return f"decoding, which the network waits for {share} of its time: more workers=N may help"
        return "the network: sounds are there when it wants them"
    # Where the same threads decode and compute, more of them than there are cores help nothing.
    whole = decoding + network
    if whole and max(decoding, network) >= _MOST * whole:
        what, most = ("decoding", decoding) if decoding > network else ("the network", network)
        return f"{what}, {100 * most / whole:.0f} % of the time of threads that decode and compute"
    return ""


def _seconds(value: float) -> str:
    return f"{value:,.3g} s" if value < 100 else f"{value:,.0f} s"
