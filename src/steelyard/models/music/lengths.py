"""Sequences of unequal length side by side: what is computed of one is what would be computed of it alone.

rows = pack([torch.randn(3, 8), torch.randn(5, 8)])     values (2, 5, 8), lengths (3, 5)
unpack(rows)                                            the two again
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


@dataclass(frozen=True, slots=True)
class Rows:
    """Values (sequences, places, width); what stands behind the end of a sequence is never looked at."""

    values: Tensor
    lengths: tuple[int, ...]

    def mask(self) -> Tensor | None:
        """Which places are a sequence's own (sequences, places); None where all are."""
        places = self.values.shape[1]
        if all(length == places for length in self.lengths):
            return None
        device = self.values.device
        return torch.arange(places, device=device) < torch.tensor(self.lengths, device=device)[:, None]

    def cleared(self) -> Rows:
        """The same with zeros behind the ends."""
        mask = self.mask()
        return self if mask is None else Rows(self.values.masked_fill(~mask[..., None], 0.0), self.lengths)

    def cut(self, step: int) -> Rows:
        """The same without what is left over when each length is divided by `step`."""
        kept = tuple(length // step * step for length in self.lengths)
        return Rows(self.values[:, : max(kept, default=0)], kept)

    def means(self) -> Tensor:
        """The mean of each sequence (sequences, width); of an empty one zero."""
        lengths = torch.tensor(self.lengths, device=self.values.device).clamp(min=1)
        return self.cleared().values.sum(1) / lengths[:, None]


def pack(sequences: Sequence[Tensor]) -> Rows:
    """Sequences (places, width) side by side."""
    lengths = tuple(int(one.shape[0]) for one in sequences)
    if len(set(lengths)) == 1:
        return Rows(torch.stack(list(sequences)), lengths)
    return Rows(pad_sequence(list(sequences), batch_first=True), lengths)


def unpack(rows: Rows) -> list[Tensor]:
    """The sequences one by one, each of its own length."""
    return [values[:length] for values, length in zip(rows.values, rows.lengths)]


def group_alike(lengths: Sequence[int], *, most: int) -> Iterator[list[int]]:
    """The places of sequences of like length together, each group within `most` with what fills it up."""
    group: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: lengths[place]):
        if group and lengths[place] * (len(group) + 1) > most:
            yield group
            group = []
        group.append(place)
    if group:
        yield group
