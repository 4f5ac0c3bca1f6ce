"""From what was heard and what was asked for to two scores.

prompt = [text, lyrics, reference] → transformer ┐
piece  = frames → downsampler                    ┴ joint transformer → mean of the piece's rows → scores
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from steelyard.models.music.configuration import Depth, Design, Downsample
from steelyard.models.music.downsampling import make_downsampler
from steelyard.models.music.layers import CrossTransformer, Transformer
from steelyard.models.music.lengths import Rows, pack, unpack


@dataclass(frozen=True, slots=True)
class Prompted:
    """What was asked for: the rows of a text, of lyrics, and the frames of a reference."""

    text: Tensor
    lyrics: Tensor
    ref: Tensor | None = None

    @property
    def rows(self) -> int:
        """How many rows all of it has."""
        return len(self.text) + len(self.lyrics) + (0 if self.ref is None else len(self.ref))


class Judge(nn.Module):  # type: ignore[misc]
    """What scores pieces against what was asked for; of one of fewer than `least` frames it sees nothing."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        dim, plain = design.dim, Downsample()
        for role in ("eval", "ref", "text", "lyrics"):
            how = design.downsample.get(role, plain)
            self.add_module(f"{role}_downsampler", make_downsampler(how, dim))
        self.least = design.downsample.get("eval", plain).least
        self.text_only, self.cross = design.text_only, design.cross
        # The T5 tower's mask is a number, which, where it reaches attention as it is, drowns all differences.
        self.evenly = design.t5 is not None and design.downsample.get("text", plain).kind == "none"
        self.prompt_transformer = Transformer(dim, design.prompt)
        self.joint_transformer = (CrossTransformer if design.cross else Transformer)(dim, design.joint)
        self.score_projector = make_head(dim, design.mlp_dim, design.outputs)

    def forward(self, heard: Sequence[Tensor], prompts: Sequence[Prompted]) -> Tensor:
        """Alignment and musicality of each piece (pieces, 2)."""
        pieces = _reduce(self.eval_downsampler, heard)
        asked = self.prompt_transformer(self._join(prompts), evenly=self.evenly)
        if self.cross:
            judged = self.joint_transformer(pieces, asked)
        else:
            both = pack([torch.cat(pair) for pair in zip(unpack(asked), unpack(pieces))])
            joined = unpack(self.joint_transformer(both, evenly=self.evenly))
            judged = pack([rows[length:] for rows, length in zip(joined, asked.lengths)])
        scores: Tensor = self.score_projector(judged.means())
        return scores[:, :2].float()

    def _join(self, prompts: Sequence[Prompted]) -> Rows:
        """All that was asked for of each piece, one behind the other."""
        parts = [unpack(_reduce(self.text_downsampler, [one.text for one in prompts]))]
        if not self.text_only:
            parts.append(unpack(_reduce(self.lyrics_downsampler, [one.lyrics for one in prompts])))
        joined = [list(rows) for rows in zip(*parts)]
        having = {place: one.ref for place, one in enumerate(prompts) if one.ref is not None}
        if having:
            for place, rows in zip(having, unpack(_reduce(self.ref_downsampler, list(having.values())))):
                joined[place].append(rows)
        return pack([torch.cat(rows) for rows in joined])


class Sane(nn.Module):  # type: ignore[misc]
    """What scores pieces by themselves: their musicality alone."""

    least = 1

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.eval_transformer = Transformer(design.dim, Depth(2))
        self.scorelayer = make_head(design.dim, design.mlp_dim, 1)

    def forward(self, heard: Sequence[Tensor], prompts: Sequence[Prompted]) -> Tensor:
        """Nothing for alignment, and musicality (pieces, 2)."""
        scores = self.scorelayer(self.eval_transformer(pack(heard)).means()).float()
        return torch.cat([torch.zeros_like(scores), scores], dim=1)


def make_head(dim: int, inner: int, outputs: int) -> nn.Sequential:
    """From one row to scores."""
    return nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, inner), nn.ReLU(), nn.Linear(inner, outputs))


def _reduce(downsampler: nn.Module, sequences: Sequence[Tensor]) -> Rows:
    """Fewer rows of each; in full precision, for they are joined with others."""
    rows = downsampler(pack(sequences))
    return Rows(rows.values.float(), rows.lengths)
