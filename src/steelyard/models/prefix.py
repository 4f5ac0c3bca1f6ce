"""Sequences that attend: fed side by side, what they have in common computed once.

    prompts   [few-shot header][question 1]        prefix   the header, one row, kept between batches
              [few-shot header][question 2]        rows     [header][padding][question], one row a prompt

A row may branch: several continuations of one prompt lie behind each other in one row, each of
them blind to its siblings. So the choices of a question are scored in one pass over its prompt.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from steelyard.models.answers import Line, common_prefix

# A shorter prefix costs more to keep apart than to compute again in every row.
SHORTEST_PREFIX = 8
# A CPU multiplies a few hundred tokens as fast as thousands, and these stay in its caches.
_FED_ON_CPU = 512
_FED_ELSEWHERE = 32768
# Hybrids of attention with anything that has no keys and values cannot branch or be cut back.
_ATTENTION = {"full_attention", "sliding_attention"}
# Windows that such models count in columns, padding and siblings included, whatever a mask says.
_COUNTED_WINDOWS = ("window_size", "attention_window_size", "attention_chunk_size")


class Room(CacheLayerMixin):  # type: ignore[misc]
    """Keys and values of one layer, in memory set aside for the whole batch.

    Writing in place spares the copy of everything so far that each new token costs otherwise.
    """

    is_croppable = True
    is_sliding = False

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self._capacity = capacity
        self._used = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Set the memory aside, once the shapes are known."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self._keys, self._values = (
            states.new_empty((*states.shape[:2], self._capacity, states.shape[3]))
            for states in (key_states, value_states)
        )
        self.is_initialized = True

    def take(self, parts: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Begin with rows of others, side by side, that end at the same place."""
        rows = sum(len(keys) for keys, _ in parts)
        self._used = max(keys.shape[2] for keys, _ in parts)
        self.lazy_initialization(*(states[:1].expand(rows, -1, -1, -1) for states in parts[0]))
        begin = 0
        for part in parts:
            end, pads = begin + len(part[0]), self._used - part[0].shape[2]
            for memory, states in zip((self._keys, self._values), part):
                # What stood there before may be no number, and a mask only adds to it.
                memory[begin:end, :, :pads] = 0
                memory[begin:end, :, pads : self._used] = states
            begin = end
        self.keys, self.values = self._keys[:, :, : self._used], self._values[:, :, : self._used]

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append keys and values; give all so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        begin, self._used = self._used, self._used + key_states.shape[2]
        self._keys[:, :, begin : self._used] = key_states
        self._values[:, :, begin : self._used] = value_states
        self.keys = self._keys[:, :, : self._used]
        self.values = self._values[:, :, : self._used]
        return self.keys, self.values

    def select(self, rows: Tensor) -> None:
        """Let go of all rows but these."""
        self._keys, self._values = self._keys[rows], self._values[rows]

    def get_seq_length(self) -> int:
        """How many keys there are."""
        return self._used

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """How many keys there will be, and where they begin."""
        return self._used + query_length, 0

    def get_max_length(self) -> int:
        """-1: no limit of the cache's own."""
        return -1


@dataclass(frozen=True, slots=True)
class Prefix:
    """Tokens that several sequences begin with, and their keys and values in every layer."""

    ids: tuple[int, ...] = ()
    layers: Sequence[tuple[Tensor, Tensor]] = ()

    def cut(self, length: int) -> Prefix:
        """Its first tokens only."""
        return Prefix(
            self.ids[:length], [(k[:, :, :length], v[:, :, :length]) for k, v in self.layers if length]
        )


class Network:
    """A causal language model, and the prefix that its last sequences shared."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.device = model.device
        self.dtype = model.dtype
        config = model.config.get_text_config(decoder=True)
        self.vocabulary = int(config.vocab_size)
        self.window = _read_window(config)
        alike = "sliding_attention" if self.window else "full_attention"
        self.kinds = set(getattr(config, "layer_types", None) or [alike])
        self._parameters = inspect.signature(model.forward).parameters
        self._prefix = Prefix()
        self.fed = _FED_ON_CPU if self.device.type == "cpu" else _FED_ELSEWHERE
        self.token_bytes = 0
        self.shares = self._can_share() and self._proves()

    def rows(self, count: int, *, room: int, prefix: Prefix) -> Rows:
        """Empty rows behind a prefix, with room for so many tokens each."""
        parts = [[(k.expand(count, -1, -1, -1), v.expand(count, -1, -1, -1))] for k, v in prefix.layers]
        positions = torch.arange(len(prefix.ids), device=self.device).expand(count, -1)
        return Rows(self, positions, layers=parts, room=room)

    def read(self, sequences: Sequence[Sequence[int]], *, room: int) -> tuple[Rows, Tensor]:
        """Read sequences, their common prefix once; rows with room for more, and the logits that follow."""
        prefix = self.share(sequences)
        start = len(prefix.ids)
        lines = [Line() for _ in sequences]
        for line, sequence in zip(lines, sequences):
            line.append(sequence[start:], start=start)
        parts = list(_cut_lines(lines, most=self.fed))
        read, logits = [], []
        for part in parts:
            width = max(len(line.ids) for line in part)
            rows = self.rows(len(part), room=width + (room if len(parts) == 1 else 0), prefix=prefix)
            logits.append(rows.feed(part)[:, -1])
            read.append(rows)
        return (read[0] if len(read) == 1 else join_rows(read, room=room)), torch.cat(logits)

    def share(self, sequences: Sequence[Sequence[int]]) -> Prefix:
        """The tokens that all sequences begin with, computed unless the last ones had them too."""
        # Each still needs a token of its own to be fed.
        common = tuple(common_prefix(sequences)[: min(map(len, sequences)) - 1])
        known = self._prefix
        kept = len(common_prefix([known.ids, common]))
        if len(sequences) == 1:
            # What only one sequence has is not worth a pass of its own.
            common = common[:kept]
        if len(common) < SHORTEST_PREFIX:
            return Prefix()
        if kept < len(common):
            line = Line()
            line.append(common[kept:], start=kept)
            rows = self.rows(1, room=len(common) - kept, prefix=known.cut(kept))
            rows.feed([line])
            self._prefix = known = Prefix(common, list(rows.layers()))
        return known.cut(len(common))

    def forget(self) -> None:
        """Let go of the kept prefix."""
        self._prefix = Prefix()

    def logits(self, ids: Tensor, *, keep: int = 0, **inputs: Any) -> Tensor:
        """One pass; the logits of the last `keep` tokens (0: of all)."""
        if keep and "logits_to_keep" in self._parameters:
            inputs["logits_to_keep"] = keep
        logits: Tensor = self.model(input_ids=ids, **inputs).logits
        return logits[:, -keep:] if keep else logits

    def _can_share(self) -> bool:
        needed = {"position_ids", "past_key_values", "attention_mask"}
        # Other kernels take no mask of our own.
        kernel = getattr(self.model.config, "_attn_implementation", "eager")
        if not needed <= set(self._parameters) or kernel not in {"sdpa", "eager"}:
            return False
        config = self.model.config.get_text_config(decoder=True)
        return self.kinds <= _ATTENTION and not any(hasattr(config, name) for name in _COUNTED_WINDOWS)

    def _proves(self) -> bool:
        """Whether a few tokens give the same logits behind a prefix, padded and branched, as alone."""
        first = self.vocabulary // 2
        ids = [(first + 7 * i) % self.vocabulary for i in range(SHORTEST_PREFIX + 4)]
        other = [(i + 1) % self.vocabulary for i in ids[-3:]]
        try:
            with torch.inference_mode():
                alone = self.logits(torch.tensor([ids], device=self.device), keep=1, use_cache=False)[0, -1]
                line, short = Line(), Line()
                prefix = self.share([ids, ids[:SHORTEST_PREFIX] + other])
                line.append(other, start=SHORTEST_PREFIX, branch=1)
                line.append(ids[SHORTEST_PREFIX:], start=SHORTEST_PREFIX, branch=2)
                short.append(ids[SHORTEST_PREFIX:], start=SHORTEST_PREFIX)
                states = [state for layer in prefix.layers for state in layer]
                self.token_bytes = sum(s.nbytes // SHORTEST_PREFIX for s in states)
                rows = self.rows(2, room=len(line.ids), prefix=prefix)
                together = rows.feed([line, short])[:, -1]
        except Exception:  # noqa: BLE001 - foreign model code; whatever it says, the plain way remains
            return False
        finally:
            self.forget()
        tolerance = 1e-3 if self.dtype == torch.float32 else 5e-2
        error = (together.float() - alone.float()).abs().max()
        return bool(error <= tolerance * alone.float().abs().max().clamp(min=1.0))


class Rows:
    """Sequences under way side by side: their keys and values, and who sees what."""

    def __init__(
        self,
        network: Network,
        positions: Tensor,
        *,
        layers: Sequence[Sequence[tuple[Tensor, Tensor]]],
        room: int,
    ) -> None:
        self.network = network
        count, self._used = positions.shape
        capacity = self._used + room
        self._positions = torch.full((count, capacity), -1, device=network.device)
        self._positions[:, : self._used] = positions
        self._branches = torch.zeros_like(self._positions)
        rooms = [Room(capacity) for _ in layers]
        for memory, parts in zip(rooms, layers):
            memory.take(parts)
        make = partial(Room, capacity)
        self._cache = Cache(layers=rooms) if rooms else Cache(layer_class_to_replicate=make)

    @property
    def positions(self) -> Tensor:
        """Where the tokens so far stand in their texts; -1 is padding."""
        return self._positions[:, : self._used]

    def feed(self, lines: Sequence[Line], *, keep: int = 1) -> Tensor:
        """Append a line to each row, padded on the left; the logits of its last `keep` tokens."""
        width = max(len(line.ids) for line in lines)
        device = self.network.device
        padded = [[0] * (width - len(line.ids)) + line.ids for line in lines]
        positions = [[-1] * (width - len(line.ids)) + line.positions for line in lines]
        begin, self._used = self._used, self._used + width
        self._positions[:, begin : self._used] = torch.tensor(positions, device=device)
        if any(line.branches and line.branches[-1] for line in lines):
            branches = [[0] * (width - len(line.ids)) + line.branches for line in lines]
            self._branches[:, begin : self._used] = torch.tensor(branches, device=device)
        return self._pass(torch.tensor(padded, device=device), begin=begin, keep=keep)

    def extend(self, tokens: Sequence[int]) -> Tensor:
        """Append one token to each row; the logits that follow it."""
        begin, self._used = self._used, self._used + 1
        self._positions[:, begin] = self._positions[:, begin - 1] + 1
        return self._pass(torch.tensor(tokens, device=self.network.device)[:, None], begin=begin, keep=1)

    def select(self, rows: Sequence[int]) -> None:
        """Let go of all rows but these."""
        index = torch.tensor(rows, device=self.network.device)
        self._positions, self._branches = self._positions[index], self._branches[index]
        for layer in self._cache.layers:
            layer.select(index.to(layer.device))

    def layers(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Keys and values of every layer."""
        for layer in self._cache.layers:
            yield layer.keys, layer.values

    def _pass(self, ids: Tensor, *, begin: int, keep: int) -> Tensor:
        return self.network.logits(
            ids,
            keep=keep,
            position_ids=self._positions[:, begin : self._used].clamp(min=0),
            attention_mask=self._masks(begin),
            past_key_values=self._cache,
            use_cache=True,
        )

    def _masks(self, begin: int) -> Tensor | dict[str, Tensor]:
        """Who sees what: keys before oneself, of one's own branch or the trunk, inside the window."""
        keys, queries = self._positions[:, None, : self._used], self._positions[:, begin : self._used, None]
        allowed = keys >= 0
        if queries.shape[1] > 1:
            index = torch.arange(self._used, device=keys.device)
            allowed = allowed & (index[None, :] <= index[begin:, None])
            branch = self._branches[:, None, : self._used]
            allowed = allowed & ((branch == 0) | (branch == self._branches[:, begin : self._used, None]))
        network = self.network
        masks = {"full_attention": allowed}
        if network.window is not None:
            masks["sliding_attention"] = allowed & (queries - keys < network.window)
        lowest = torch.finfo(network.dtype).min
        dense = {
            kind: torch.zeros(masks[kind].shape, dtype=network.dtype, device=keys.device)
            .masked_fill_(~masks[kind], lowest)
            .unsqueeze_(1)
            for kind in network.kinds
        }
        return dense if len(dense) > 1 else next(iter(dense.values()))


def _read_window(config: Any) -> int | None:
    """How far back sliding attention looks; None where no layer slides."""
    window = getattr(config, "sliding_window", None)
    slides = getattr(config, "use_sliding_window", True)
    kinds = getattr(config, "layer_types", None)
    return int(window) if window and slides and (not kinds or "sliding_attention" in kinds) else None


def join_rows(parts: Sequence[Rows], *, room: int) -> Rows:
    """Rows that were read apart, to go on together."""
    width = max(part.positions.shape[1] for part in parts)
    positions = torch.cat(
        [torch.nn.functional.pad(p.positions, (width - p.positions.shape[1], 0), value=-1) for p in parts]
    )
    layers = list(zip(*(part.layers() for part in parts)))
    return Rows(parts[0].network, positions, layers=layers, room=room)


def _cut_lines(lines: Sequence[Line], *, most: int) -> Iterator[Sequence[Line]]:
    """Cut lines into parts of so many tokens at most, padding counted."""
    begin = longest = 0
    for place, line in enumerate(lines):
        longest = max(longest, len(line.ids))
        if place > begin and longest * (place + 1 - begin) > most:
            yield lines[begin:place]
            begin, longest = place, len(line.ids)
    yield lines[begin:]
