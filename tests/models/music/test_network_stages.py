"""Each stage of the reward network against its formula, written as loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from steelyard.models.music.configuration import Depth, Downsample  # noqa: E402
from steelyard.models.music.convolutions import Front  # noqa: E402
from steelyard.models.music.downsampling import make_downsampler, split_factor  # noqa: E402
from steelyard.models.music.layers import Attention, CrossTransformer, Transformer  # noqa: E402
from steelyard.models.music.lengths import Rows, pack, unpack  # noqa: E402
from steelyard.models.music.mel import Mel, make_filters  # noqa: E402

DIM = 6
LENGTHS = (13, 1, 0, 24, 7)
SIZE = Depth(2, heads=3, dim_head=4, ff_mult=2.5)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(5)


def sequences() -> list[Any]:
    return [torch.randn(length, DIM, dtype=torch.float64) for length in LENGTHS]


def shaken(module: Any) -> Any:
    """The same module with weights that are none of those it begins with."""
    for one in module.parameters():
        one.data = torch.randn_like(one) * 0.5 + (0.5 if one.ndim == 1 else 0.0)
    return module.eval().double().requires_grad_(False)


def same(found: Any, expected: Any) -> bool:
    return found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_bands_and_decibels() -> None:
    hop, samples = 240, 3333
    chunk = torch.randn(samples) * 0.1
    x = np.pad(chunk.double().numpy(), 1024, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(1025), np.arange(2048)) / 2048)
    power = np.array([np.abs(waves @ (x[at : at + 2048] * window)) ** 2 for at in range(0, 13 * hop, hop)])
    mel = np.linspace(0, 2595 * math.log10(1 + 12000 / 700), 130)
    hertz = 700 * (10 ** (mel / 2595) - 1)
    bands = np.zeros((13, 128))
    for band in range(128):
        low, middle, high = hertz[band : band + 3]
        for at, frequency in enumerate(np.linspace(0, 12000, 1025)):
            share = min((frequency - low) / (middle - low), (high - frequency) / (high - middle))
            bands[:, band] += max(0.0, share) * power[:, at]
    expected = (10 * np.log10(np.maximum(bands, 1e-10)) - 6.5) / 18.0
    found = Mel(hop, mean=6.5, deviation=18.0)(chunk[None])[0].T
    assert found.shape == (13, 128)
    assert found.numpy() == pytest.approx(expected, abs=1e-3)


def test_silence_is_as_quiet_as_can_be_told() -> None:
    assert (Mel(240, mean=0.0, deviation=1.0)(torch.zeros(2, 5000)) == -100.0).all()


def test_all_of_the_filters_are_used() -> None:
    mel = Mel(240, mean=0.0, deviation=1.0)
    table = torch.zeros(1025, 128)
    for bins, bands in mel._groups:
        table[bins, bands] = make_filters()[bins, bands]
    assert torch.equal(table, make_filters())


def test_norms_fold_into_convolutions() -> None:
    front = shaken(Front(5, DIM, label_rate=25))
    for name, buffer in front.named_buffers():
        if "running" in name:
            buffer.copy_(torch.rand_like(buffer) + 0.5)
    decibels = torch.randn(2, 128, 37, dtype=torch.float64)
    before = front(decibels)
    front.fold()
    assert before.shape == (2, 10, DIM)
    assert same(front(decibels), before)


@pytest.mark.parametrize(("label_rate", "frames"), [(25, 10), (50, 19)])
def test_frames_of_a_rate(label_rate: int, frames: int) -> None:
    assert Front(3, DIM, label_rate=label_rate)(torch.randn(1, 128, 37)).shape == (1, frames, DIM)


def norm(x: Any, gamma: Any) -> Any:
    centred = x - x.mean()
    return centred / torch.sqrt((centred**2).mean() + 1e-5) * gamma


def attended(attention: Any, sequence: Any, *, evenly: bool = False) -> Any:
    """Attention as loops over places and heads."""
    size = len(attention.q_scale)
    normed = [norm(row, attention.norm.learned_gamma) for row in sequence]
    inner = attention.heads * size
    found = []
    for row in normed:
        heads = []
        for head in range(attention.heads):
            part = slice(head * size, head * size + size)
            query = (attention.to_q.weight @ row)[part]
            query = query / query.norm() * attention.q_scale
            logits, values = [], []
            for other in normed:
                both = attention.to_kv.weight @ other
                key = both[part] / both[part].norm() * attention.k_scale
                logits.append(8 * (query @ key) * (0 if evenly else 1))
                values.append(both[inner:][part])
            heads.append(torch.softmax(torch.stack(logits), 0) @ torch.stack(values))
        found.append(attention.to_out[0].weight @ torch.cat(heads))
    return torch.stack(found)


def fed_forward(layers: Any, sequence: Any) -> Any:
    found = []
    for row in sequence:
        wide = layers[1].weight @ norm(row, layers[0].learned_gamma)
        half = len(wide) // 2
        told, gate = wide[:half], wide[half:]
        found.append(layers[4].weight @ (told * gate * 0.5 * (1 + torch.erf(gate / math.sqrt(2)))))
    return torch.stack(found)


@pytest.mark.parametrize("evenly", [False, True])
def test_a_transformer_against_loops(evenly: bool) -> None:
    transformer = shaken(Transformer(DIM, SIZE))
    assert transformer.layers[0][1][4].weight.shape == (DIM, 10)
    given = sequences()
    found = unpack(transformer(pack(given), evenly=evenly))
    for one, sequence in zip(found, given):
        expected = sequence
        if len(sequence):
            for attention, layers in transformer.layers:
                expected = attended(attention, expected, evenly=evenly) + expected
                expected = fed_forward(layers, expected) + expected
        assert same(one, expected)


def crossed(attention: Any, sequence: Any, context: Any) -> Any:
    size = attention.to_q.weight.shape[0] // attention.heads
    inner = attention.heads * size
    found = []
    for row in sequence:
        heads = []
        for head in range(attention.heads):
            part = slice(head * size, head * size + size)
            query = (attention.to_q.weight @ norm(row, attention.norm_q.learned_gamma))[part]
            both = [attention.to_kv.weight @ norm(o, attention.norm_kv.learned_gamma) for o in context]
            logits = torch.stack([(query @ one[part]) / math.sqrt(size) for one in both])
            heads.append(torch.softmax(logits, 0) @ torch.stack([one[inner:][part] for one in both]))
        found.append(attention.to_out[0].weight @ torch.cat(heads))
    return torch.stack(found)


def test_a_crossed_transformer_against_loops() -> None:
    transformer = shaken(CrossTransformer(DIM, SIZE))
    given, contexts = (
        sequences(),
        [torch.randn(length, DIM, dtype=torch.float64) for length in (3, 0, 2, 11, 1)],
    )
    found = unpack(transformer(pack(given), pack(contexts)))
    for one, sequence, context in zip(found, given, contexts):
        expected = sequence
        if len(expected):
            for layer in transformer:
                expected = attended(layer.self_attn, expected) + expected
                if len(context):
                    expected = crossed(layer.cross_attn, expected, context) + expected
                expected = fed_forward(layer.ffn, expected) + expected
        assert same(one, expected)


def test_nothing_behind_an_end_is_looked_at() -> None:
    attention = shaken(Attention(DIM, SIZE))
    transformer = shaken(Transformer(DIM, SIZE))
    clean = pack(sequences())
    mask = clean.mask()
    assert mask is not None
    dirty = Rows(clean.values.masked_fill(~mask[..., None], 1e6), clean.lengths)
    for one, other in zip(unpack(transformer(clean)), unpack(transformer(dirty))):
        assert torch.equal(one, other)
    assert torch.equal(clean.means(), dirty.means())
    assert not clean.means()[2].any()
    assert attention(clean.values).isfinite().all()


def meant(module: Any, rows: Any, factor: int) -> Any:
    values = [module.mlp(row) for row in rows] if module.mlp is not None and module.first else list(rows)
    means = [sum(values[at : at + factor]) / factor for at in range(0, len(rows) - factor + 1, factor)]
    if module.mlp is not None and not module.first:
        means = [module.mlp(mean) for mean in means]
    return torch.stack(means) if means else torch.zeros(0, DIM, dtype=torch.float64)


def staged(stage: Any, rows: Any) -> Any:
    """A stage as loops; what is beyond the ends is zero."""
    count = len(rows) // stage.stride * stage.stride
    values = list(rows[:count])
    if stage.pw1 is not None:
        mixed = [stage.pw1.weight[:, :, 0] @ row for row in values]
        values = [row[:DIM] * torch.sigmoid(row[DIM:]) for row in mixed]
    kernel = stage.dw.weight[:, 0]
    half = kernel.shape[1] // 2
    found = []
    for at in range(0, count, stage.stride):
        total = torch.zeros(DIM, dtype=torch.float64)
        for tap in range(kernel.shape[1]):
            if 0 <= at + tap - half < count:
                total = total + kernel[:, tap] * values[at + tap - half]
        if hasattr(stage.ln, "weight"):
            total = norm(total, stage.ln.weight) + stage.ln.bias
        found.append(total * torch.sigmoid(total))
    return torch.stack(found) if found else torch.zeros(0, DIM, dtype=torch.float64)


def expect(how: Downsample, module: Any) -> Callable[[Any], Any]:
    if how.kind in {"mean", "mean+mlp"}:
        return lambda rows: meant(module, rows, how.factor)
    if how.kind == "none" or how.factor == 1:
        return lambda rows: rows
    stages = [module.blocks[0]] * how.stage if how.kind == "conv" else [module.block1, module.block2]

    def compute(rows: Any) -> Any:
        for stage in stages:
            rows = staged(stage, rows)
        if how.kind == "gluconv*2+pw":
            rows = rows @ module.final_pw.weight[:, :, 0].T
        return rows

    return compute


HOWS = [
    Downsample(),
    Downsample("mean", 1),
    Downsample("mean", 4),
    Downsample("mean+mlp", 1),
    Downsample("mean+mlp", 3, mlp_ratio=1.4),
    Downsample("mean+mlp", 3, pre_mlp=True),
    Downsample("conv", 1),
    Downsample("conv", 3),
    Downsample("conv", 2, stage=3, kernel_size=3),
    Downsample("conv", 2, use_layernorm=False),
    Downsample("conv*2", 1),
    Downsample("conv*2", 5),
    Downsample("conv*2", 6, kernel_size=7),
    Downsample("gluconv*2+pw", 1),
    Downsample("gluconv*2+pw", 4),
    Downsample("gluconv*2+pw", 3, use_layernorm=False),
]


@pytest.mark.parametrize("how", HOWS, ids=lambda how: f"{how.kind} {how.factor}")
def test_a_downsampler_against_loops(how: Downsample) -> None:
    module = shaken(make_downsampler(how, DIM))
    compute, given = expect(how, module), sequences()
    rows = pack(given)
    mask = rows.mask()
    assert mask is not None
    dirty = Rows(rows.values.masked_fill(~mask[..., None], 1e3), rows.lengths)
    total = how.factor**how.stage
    assert how.least == total
    for one, alone, sequence in zip(unpack(module(dirty)), [module(pack([one])) for one in given], given):
        expected = compute(sequence)
        assert len(one) == len(sequence) // total
        assert same(one, expected)
        assert same(unpack(alone)[0], expected)


@pytest.mark.parametrize(
    ("factor", "strides"),
    [
        (2, (1, 2)), (3, (3, 1)), (4, (2, 2)), (5, (1, 5)), (6, (3, 2)), (8, (2, 4)),
        (9, (3, 3)), (10, (2, 5)), (12, (3, 4)), (15, (3, 5)), (16, (4, 4)),
    ],
)  # fmt: skip
def test_strides_of_a_factor(factor: int, strides: tuple[int, int]) -> None:
    assert split_factor(factor) == strides
