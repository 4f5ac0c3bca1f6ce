"""The network against the second one: every variant, alone and in batches, in any order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from music.checkpoints import make_reward_checkpoint
from music.noises import noise
from music.reference import Reference, sounds
from music.variants import VARIANTS
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

torch = pytest.importorskip("torch")

from steelyard.models.music.network import Prompted, load_network  # noqa: E402

# Scores go up to about 3; the network reckons in single precision, the second one in double precision.
NEAR = 1e-5

Scores = NDArray[np.float64]


class Item(NamedTuple):
    """Seconds of sound (of a reference too), texts."""

    seconds: float
    text: str = ""
    lyrics: str = ""
    ref: float | None = None


MANY_WORDS = "the rain on a thin roof, and then the band: " * 30
ITEMS = [
    Item(0.5),
    Item(1.3, "A jazz song", "la la la\nin the air", 0.5),
    Item(0.1, MANY_WORDS, "la"),
    Item(0.5, "é, ü and 音楽", "", 1.3),
]
LONG_ITEMS = [
    Item(65.0, "A jazz song", "la la la", 31.0),
    Item(31.0, "pop", ""),
    Item(4.3, "A jazz song", "", 65.0),
    Item(30.02, "", "la", 0.1),
]


@cache
def sound(seconds: float) -> NDArray[np.float64]:
    return noise(seconds, seed=round(10 * seconds)).astype(np.float32).astype(np.float64)


def expected(reference: Reference, items: Sequence[Item]) -> Scores:
    heard = {s: reference.hear(sound(s)) for item in items for s in (item.seconds, item.ref) if s is not None}
    return np.array(
        [
            reference.judge(heard[i.seconds], i.text, i.lyrics, None if i.ref is None else heard[i.ref])
            for i in items
        ]
    )


def judged(network: Any, items: Sequence[Item]) -> Scores:
    """The network's scores of all items in one batch, each sound and each text taken in once."""
    heard = {}
    for seconds in {s for item in items for s in (item.seconds, item.ref) if s is not None}:
        chunks = [torch.from_numpy(x).float()[None] for x in sounds.chunks_of(sound(seconds))]
        heard[seconds] = torch.cat([network.hear(chunk)[0] for chunk in chunks])
    texts = sorted({text for item in items for text in (item.text, item.lyrics)})
    rows = dict(zip(texts, network.read(texts)))
    prompts = [Prompted(rows[i.text], rows[i.lyrics], None if i.ref is None else heard[i.ref]) for i in items]
    return network.score([heard[i.seconds] for i in items], prompts).double().numpy()


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., tuple[Any, Reference]]:
    def both(**told: Any) -> tuple[Any, Reference]:
        checkpoint = make_reward_checkpoint(tmp_path, **told)
        return load_network(checkpoint), Reference(checkpoint)

    return both


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant(make: Callable[..., Any], name: str) -> None:
    network, reference = make(**VARIANTS[name])
    right = expected(reference, ITEMS)
    assert np.ptp(right, axis=0).max() > 0.01
    assert judged(network, ITEMS) == pytest.approx(right, abs=NEAR)


MIXED = {
    "plain": {},
    "everything": {
        "reward": VARIANTS["two stages"]["reward"],
        "mulan": {"audio_transformer": {"tf_depth": 1}},
    },
    "gated": VARIANTS["gated stages"],
    "crossed": VARIANTS["crossed, downsampled"],
    "t5": VARIANTS["t5"],
}


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.parametrize("size", [3, 16])
def test_a_score_does_not_depend_on_its_batch(make: Callable[..., Any], name: str, size: int) -> None:
    network, _ = make(seed=size, **MIXED[name])
    draw = np.random.default_rng(size)
    items = [
        Item(float(draw.choice([0.1, 0.5, 1.3])), text, lyrics, draw.choice([None, 0.1, 0.5, 1.3]))
        for text, lyrics in zip(["", "pop", MANY_WORDS, "la"] * 4, ["la la", "", "", MANY_WORDS, "x"] * 4)
    ][:size]
    alone = np.concatenate([judged(network, [item]) for item in items])
    for _ in range(2):
        order = draw.permutation(size)
        together = judged(network, [items[n] for n in order])
        assert together == pytest.approx(alone[order], abs=NEAR)


def test_long_sounds(make: Callable[..., Any]) -> None:
    network, reference = make(**MIXED["everything"])
    items = [Item(31.0, "pop", ""), Item(4.3, "A jazz song", "la", 31.0)]
    assert judged(network, items) == pytest.approx(expected(reference, items), abs=NEAR)


def without(weights: dict[str, Any], *prefixes: str) -> dict[str, Any]:
    return {name: value for name, value in weights.items() if not name.startswith(prefixes)}


@pytest.mark.parametrize("told", [{}, {"t5": {}}], ids=["xlm-roberta", "t5"])
def test_towers_from_folders_of_their_own(tmp_path: Path, told: dict[str, Any]) -> None:
    checkpoint = make_reward_checkpoint(tmp_path, encoders=("checkpoint", "folders"), **told)
    save_file(without(load_file(checkpoint), "audio_module.model.", "text_module.model."), checkpoint)
    if not told:
        text = tmp_path / "xlm-roberta-small" / "model.safetensors"
        save_file({f"roberta.{name}": value for name, value in load_file(text).items()}, text)
    right = expected(Reference(checkpoint), ITEMS)
    assert judged(load_network(checkpoint), ITEMS) == pytest.approx(right, abs=NEAR)


@pytest.mark.real
@pytest.mark.parametrize("name", VARIANTS)
def test_longer_sounds_in_every_variant(make: Callable[..., Any], name: str) -> None:
    network, reference = make(seed=1, **VARIANTS[name])
    right = expected(reference, LONG_ITEMS)
    assert judged(network, LONG_ITEMS) == pytest.approx(right, abs=NEAR)
    assert np.concatenate([judged(network, [i]) for i in LONG_ITEMS]) == pytest.approx(right, abs=NEAR)


@pytest.mark.real
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", VARIANTS)
def test_other_random_weights_in_every_variant(make: Callable[..., Any], name: str, seed: int) -> None:
    network, reference = make(seed=100 + seed, **VARIANTS[name])
    items = [*ITEMS, Item(4.3, "A band in the rain", MANY_WORDS, 4.3), Item(2.5, "pop", "", 0.1)]
    right = expected(reference, items)
    assert judged(network, items) == pytest.approx(right, abs=NEAR)
    assert np.concatenate([judged(network, [item]) for item in items]) == pytest.approx(right, abs=NEAR)
