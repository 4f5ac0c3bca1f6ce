"""Waveforms at another rate: a windowed sinc, six of its zeros to either side.

    resample(wave, 44100, 24000)                           the whole of it
    resample_blocks(blocks, 44100, 24000, first=480000)    a part of it, read as it comes

Every output is a sum over the inputs near it, and which weights these have repeats after a period. So the
outputs of one period are cut into pieces, and each piece is one product of matrices over all periods: its
rows are windows of the input, of which nothing is copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, gcd
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ZEROS = 6
_ROLLOFF = 0.99
# How many outputs are had by one product: fewer are many products, more are products with many zeros.
_PIECE = 16
# How many inputs are worked on at a time, and at least how many periods of them, within a limit.
_BLOCK = 1 << 16
_PERIODS = 16
_LARGEST_BLOCK = 1 << 22


def resample(wave: NDArray[np.float32], given: int, wanted: int) -> NDArray[np.float32]:
    """A waveform of one rate at another: ceil(samples * wanted / given) samples."""
    import numpy as np

    if given == wanted:
        return wave
    made = list(resample_blocks(iter([wave]), given, wanted))
    return np.concatenate(made) if made else np.zeros(0, np.float32)


def inputs_of(given: int, wanted: int, first: int, count: int | None) -> tuple[int, int | None]:
    """Which inputs, from one to before another, `count` outputs from `first` on are made of."""
    if given == wanted:
        return first, None if count is None else first + count
    bank = _bank(given, wanted)
    begin = max(0, bank.rows(first) * bank.step + bank.lowest)
    if count is None:
        return begin, None
    return begin, (first + count) * bank.given // bank.wanted + bank.reach + 1


def resample_blocks(
    blocks: Iterable[NDArray[np.float32]],
    given: int,
    wanted: int,
    *,
    first: int = 0,
    count: int | None = None,
) -> Iterator[NDArray[np.float32]]:
    """`count` outputs from `first` on, of the inputs that `inputs_of` says, or of all there are."""
    left = count
    for made in _outputs(blocks, given, wanted, first):
        if left is None:
            yield made
            continue
        yield made[:left]
        left -= min(left, len(made))
        if not left:
            return


def _outputs(
    blocks: Iterable[NDArray[np.float32]], given: int, wanted: int, first: int
) -> Iterator[NDArray[np.float32]]:
    """All outputs from `first` on that the inputs give."""
    import numpy as np

    if given == wanted:
        yield from blocks
        return
    bank = _bank(given, wanted)
    row = bank.rows(first)
    skipped = first - row * bank.stride
    # What stands before the sound is silence.
    begin = row * bank.step + bank.lowest
    waiting = [np.zeros(max(0, -begin), np.float32)]
    held, read = len(waiting[0]), max(0, begin)
    most = max(_BLOCK, min(_PERIODS * bank.step, _LARGEST_BLOCK))
    for block in blocks:
        read += len(block)
        for part in _cut(block, most):
            waiting.append(part)
            held += len(part)
            ready = (held - bank.window) // bank.step + 1
            if held < most or ready < 1:
                continue
            inputs = np.concatenate(waiting)
            made = bank.apply(inputs, ready)
            waiting = [inputs[ready * bank.step :]]
            held = len(waiting[0])
            row += ready
            yield made[skipped:]
            skipped = max(0, skipped - len(made))
    missing = -(-read * bank.wanted // bank.given) - row * bank.stride
    if missing > skipped:
        ready = -(-missing // bank.stride)
        waiting.append(np.zeros(max(0, (ready - 1) * bank.step + bank.window - held), np.float32))
        yield bank.apply(np.concatenate(waiting), ready)[skipped:missing]


def _cut(block: NDArray[np.float32], most: int) -> Iterator[NDArray[np.float32]]:
    for begin in range(0, len(block), most):
        yield block[begin : begin + most]


@dataclass(frozen=True)
class _Piece:
    """Some outputs of a period: where their inputs begin in it, and what each counts for each output."""

    first: int
    end: int
    offset: int
    weights: NDArray[np.float32]


@dataclass(frozen=True)
class _Bank:
    """All that the outputs of a period are made of: `stride` outputs of every `step` inputs."""

    given: int
    wanted: int
    step: int
    stride: int
    lowest: int
    window: int
    reach: int
    pieces: tuple[_Piece, ...]

    def rows(self, first: int) -> int:
        """The period in which an output stands."""
        return first // self.stride

    def apply(self, inputs: NDArray[np.float32], rows: int) -> NDArray[np.float32]:
        """The outputs of so many periods, of inputs that begin `lowest` from the first of them."""
        import numpy as np
        from numpy.lib.stride_tricks import as_strided

        made = np.empty((rows, self.stride), np.float32)
        size = inputs.itemsize
        for piece in self.pieces:
            begin = piece.offset - self.lowest
            shape = (rows, len(piece.weights))
            windows = as_strided(inputs[begin:], shape, (self.step * size, size), writeable=False)
            np.matmul(windows, piece.weights, out=made[:, piece.first : piece.end])
        return made.reshape(-1)


@lru_cache(maxsize=8)
def _bank(given: int, wanted: int) -> _Bank:
    shared = gcd(given, wanted)
    given, wanted = given // shared, wanted // shared
    size = _PIECE
    reach = ceil(_ZEROS * given / (_ROLLOFF * min(given, wanted)))
    # So many that no window is longer than a period: only then a product reads windows where they lie.
    least = size + ceil((2 * reach + 2) * wanted / given)
    stride = wanted * ceil(least / wanted)
    step = stride * given // wanted
    pieces = tuple(
        _piece(given, wanted, first, min(first + size, stride), reach) for first in range(0, stride, size)
    )
    lowest = pieces[0].offset
    window = max(piece.offset + len(piece.weights) for piece in pieces) - lowest
    return _Bank(given, wanted, step, stride, lowest, window, reach, pieces)


def _piece(given: int, wanted: int, first: int, end: int, reach: int) -> _Piece:
    import numpy as np

    offset = first * given // wanted - reach
    inputs = np.arange(offset, (end - 1) * given // wanted + reach + 2)
    outputs = np.arange(first, end)
    # In whole numbers, so that it is exact however far from the beginning.
    distance: Any = (inputs[:, None] * wanted - outputs[None, :] * given) / (given * wanted)
    base = _ROLLOFF * min(given, wanted)
    place = np.clip(distance * base, -_ZEROS, _ZEROS)
    weights = np.sinc(place) * np.cos(np.pi * place / (2 * _ZEROS)) ** 2 * (base / given)
    weights[np.abs(place) >= _ZEROS] = 0
    return _Piece(first, end, offset, weights.astype(np.float32))
