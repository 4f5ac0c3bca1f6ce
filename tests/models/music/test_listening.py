"""Sounds on their way into the network: cut, kept, decoded ahead, heard alone or together."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from music.noises import noise

torch = pytest.importorskip("torch")

from steelyard.media.sounds import Sound  # noqa: E402
from steelyard.media.waves import Waves  # noqa: E402
from steelyard.models.music.ahead import Ears, collect  # noqa: E402
from steelyard.models.music.lengths import group_alike  # noqa: E402
from steelyard.models.music.listening import (  # noqa: E402
    CHUNK,
    Kept,
    cut,
    find_stretches,
    group_by_length,
)
from steelyard.models.music.mel import SHORTEST  # noqa: E402
from steelyard.models.music.network import load_network  # noqa: E402

CHECKPOINT = Path(__file__).parents[2] / "data" / "reward-tiny" / "ckpt" / "model.safetensors"


@given(st.integers(1, 4), st.integers(-1500, 1500))
def test_chunks_are_all_of_it_but_what_cannot_be_heard(chunks: int, more: int) -> None:
    samples = torch.arange(max(chunks * CHUNK + more, 1), dtype=torch.float32)
    found = cut(samples)
    assert all(len(chunk) == CHUNK for chunk in found[:-1])
    assert all(SHORTEST <= len(chunk) <= CHUNK for chunk in found)
    heard = torch.cat(found)
    assert torch.equal(heard, samples[: len(heard)])
    assert len(samples) - len(heard) == (more if 0 < more < SHORTEST else 0)


@given(st.integers(1, SHORTEST + 3))
def test_what_is_too_short_is_made_longer(count: int) -> None:
    (chunk,) = cut(torch.ones(count))
    assert len(chunk) == max(count, SHORTEST)
    assert float(chunk.sum()) == count


@given(st.lists(st.integers(1, 4), max_size=20), st.integers(1, 5))
def test_groups_hold_each_chunk_once(lengths: list[int], most: int) -> None:
    groups = group_by_length([torch.zeros(length) for length in lengths], most=most)
    assert sorted(place for group in groups for place in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) <= most
        assert len({lengths[place] for place in group}) == 1


def test_kept_is_what_was_asked_for_last_within_the_limit() -> None:
    kept = Kept(100)
    for name in "abc":
        kept.put(name, torch.zeros(10))
    assert [kept.get(name) is not None for name in "abc"] == [False, True, True]
    kept.get("b")
    kept.put("d", torch.zeros(5))
    kept.put("e", torch.zeros(10))
    assert [kept.get(name) is not None for name in "bcde"] == [True, False, True, True]
    kept.put("f", torch.zeros(1000))
    assert all(kept.get(name) is None for name in "bcdef")


def test_stretches_of_one_file_are_told_apart(tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, noise(2.5), 24_000)
    a, same, b = (Sound(tmp_path / name) for name in ("a.wav", "a.wav", "b.wav"))
    array = noise(2.5).astype(np.float32)
    told = [
        *find_stretches(a, seconds=1.0, step=0.5),
        *find_stretches(same, seconds=1.0, step=0.5),
        *find_stretches(b, seconds=1.0),
        *find_stretches(a, seconds=None),
        *find_stretches(Sound(array), seconds=1.0),
        *find_stretches(Sound(array.copy()), seconds=1.0),
        *find_stretches(Sound(array, rate=48_000), seconds=1.0),
        *find_stretches(Sound(tmp_path / "gone.wav"), seconds=1.0),
    ]
    assert len(told) == 4 + 4 + 6
    assert len(collect(told)) == 4 + 2 + 3


def make_ears(alone: bool, hear: Any, **options: Any) -> Ears:
    return Ears(
        hear,
        device=torch.device("cpu"),
        alone=alone,
        **{
            "casting": nullcontext,
            "waves": Waves(24_000),
            "kept": Kept(2**20),
            "workers": 2,
            "share": 1,
            "together": 3,
            **options,
        },
    )


@pytest.fixture(scope="module")
def network() -> Any:
    return load_network(CHECKPOINT)


def test_sounds_are_heard_together_as_they_are_alone(network: Any) -> None:
    lengths = [0.5, 2.0, 0.5, 0.5, 2.0, 0.5, 31.0, 0.03]
    stretches = collect(
        [
            stretch
            for place, length in enumerate(lengths)
            for stretch in find_stretches(Sound(noise(length, seed=place).astype(np.float32)), seconds=None)
        ]
    )
    sizes: list[tuple[int, ...]] = []

    def hear(chunks: Any) -> Any:
        sizes.append(tuple(chunks.shape))
        return network.hear(chunks)

    found = []
    for alone in (True, False):
        ears = make_ears(alone, hear)
        found.append(ears.hear(stretches))
        ears.close()
        assert (ears.spent.keys() >= {"waiting"}) is not alone
    alone_sizes, together_sizes = sizes[:9], sizes[9:]
    assert {size[0] for size in alone_sizes} == {1}
    # Four of half a second, of which three at a time, two of 2 s, 30 s and 1 s of the long one, the shortest.
    assert sorted(size[0] for size in together_sizes) == [1, 1, 1, 1, 2, 3]
    for mark in stretches:
        one, other = found[0][mark], found[1][mark]
        assert isinstance(one, torch.Tensor)
        assert one.shape == other.shape  # type: ignore[union-attr]
        assert float((one - other).abs().max()) < 1e-5


def test_half_precision_is_near(network: Any) -> None:
    stretches = collect(find_stretches(Sound(noise(2).astype(np.float32)), seconds=None))
    exact, rough = (
        make_ears(False, network.hear, casting=casting)
        for casting in (nullcontext, lambda: torch.autocast("cpu", dtype=torch.bfloat16))
    )
    (one,), (other,) = exact.hear(stretches).values(), rough.hear(stretches).values()
    assert isinstance(one, torch.Tensor)
    assert isinstance(other, torch.Tensor)
    assert other.dtype == torch.float32
    assert 0 < float((one - other).abs().max()) < 0.2 * float(one.abs().max())
    exact.close()
    rough.close()


@pytest.mark.parametrize("alone", [True, False])
def test_the_next_batch_is_begun_with_ahead_and_nothing_is_done_twice(alone: bool) -> None:
    threads, waves = [], Waves(24_000, most_bytes=0)

    def hear(chunks: Any) -> Any:
        threads.append(threading.current_thread().name)
        return chunks[:, :4, None]

    ears = make_ears(alone, hear, waves=waves, kept=Kept(0))
    first, second = (
        collect(
            [
                stretch
                for seed in range(begin, begin + 4)
                for stretch in find_stretches(Sound(noise(0.1, seed=seed).astype(np.float32)), seconds=None)
            ]
        )
        for begin in (0, 3)
    )
    ears.begin(first)
    ears.begin(second)
    assert len(ears.hear(first)) == len(ears.hear(second)) == 4
    # One sound is of both.
    assert waves.decoded == 7
    assert all(name.startswith("lane") for name in threads) is alone
    ears.close()


@pytest.mark.parametrize("alone", [True, False])
def test_a_sound_that_fails_fails_alone_and_a_network_that_fails_is_asked_again(
    alone: bool, tmp_path: Path
) -> None:
    failing = [True]

    def hear(chunks: Any) -> Any:
        if failing[0]:
            raise RuntimeError("out of memory")
        return chunks[:, :4, None]

    ears = make_ears(alone, hear)
    good = find_stretches(Sound(noise(0.1).astype(np.float32)), seconds=None)
    stretches = collect([*good, *find_stretches(Sound(tmp_path / "gone.wav"), seconds=None)])
    ears.begin(stretches)
    with pytest.raises(RuntimeError, match="out of memory"):
        ears.hear(stretches)
    failing[0] = False
    heard, failed = ears.hear(stretches).values()
    assert isinstance(heard, torch.Tensor)
    assert "gone.wav" in str(failed)
    ears.close()


@given(st.lists(st.integers(0, 50)), st.integers(1, 200))
def test_sequences_of_like_length_are_together_within_a_limit(lengths: list[int], most: int) -> None:
    groups = list(group_alike(lengths, most=most))
    places = [place for group in groups for place in group]
    assert sorted(places) == list(range(len(lengths)))
    assert [lengths[place] for place in places] == sorted(lengths)
    assert all(len(group) == 1 or len(group) * lengths[group[-1]] <= most for group in groups)
    # No two neighbours would have had room together.
    for group, following in pairwise(groups):
        assert (len(group) + 1) * lengths[following[0]] > most
