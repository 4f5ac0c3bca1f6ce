"""Waveforms at another rate: against the formula in float64, against scipy, cut into any pieces."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, gcd
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from steelyard.media.resampling import inputs_of, resample, resample_blocks

USUAL = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 192000)
ODD = (1000, 8001, 44056, 47999, 96001, 352800)


def noise(count: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(count).astype(np.float32)


def by_formula(wave: Any, given: int, wanted: int) -> Any:
    """Each output as the sum over all taps of its phase, in float64."""
    o, n = given // gcd(given, wanted), wanted // gcd(given, wanted)
    base = 0.99 * min(o, n)
    width = ceil(6 * o / base)
    padded = np.concatenate([np.zeros(width), wave.astype(float), np.zeros(width + o)])
    taps = np.arange(-width, width + o)
    made = np.zeros(ceil(n * len(wave) / o))
    for place in range(len(made)):
        window, phase = divmod(place, n)
        t = np.clip((taps / o - phase / n) * base, -6, 6)
        weights = np.sinc(t) * np.cos(np.pi * t / 12) ** 2 * base / o
        made[place] = weights @ padded[window * o : window * o + len(taps)]
    return made


def by_scipy(wave: Any, given: int, wanted: int) -> Any:
    """The same filter at the rate that both rates divide."""
    o, n = given // gcd(given, wanted), wanted // gcd(given, wanted)
    base = 0.99 * min(o, n)
    reach = ceil(6 * o * n / base)
    t = np.clip(np.arange(-reach, reach + 1) / (o * n) * base, -6, 6)
    kernel = np.sinc(t) * np.cos(np.pi * t / 12) ** 2 * base / o
    return resample_poly(wave.astype(float), n, o, window=kernel / n)


@pytest.mark.parametrize("given", [rate for rate in USUAL + ODD if rate < 60_000 and rate != 24000])
@pytest.mark.parametrize("count", [1, 2, 500])
def test_it_is_the_formula(given: int, count: int) -> None:
    wave = noise(count)
    expected = by_formula(wave, given, 24000)
    made = resample(wave, given, 24000)
    assert (made.dtype, made.shape) == (np.float32, expected.shape)
    assert np.abs(made - expected).max() < 2e-6


PAIRS = [(given, wanted) for given in USUAL + ODD for wanted in (24000, 16000, 44100) if given != wanted]


@pytest.mark.parametrize(("given", "wanted"), PAIRS)
def test_long_sounds_are_as_scipy_makes_them(given: int, wanted: int) -> None:
    wave = noise(4 * given + 17)
    made, expected = resample(wave, given, wanted), by_scipy(wave, given, wanted)
    assert len(made) == -(-len(wave) * wanted // given)
    # scipy does not count the last output where it stands just behind the end.
    assert np.abs(made[: len(expected)] - expected[: len(made)]).max() < 3e-6


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(USUAL + ODD) | st.integers(1000, 60_000), st.sampled_from(USUAL), st.integers(0, 300))
def test_any_rates_and_lengths(given: int, wanted: int, count: int) -> None:
    wave = noise(count, seed=count)
    made = resample(wave, given, wanted)
    if given == wanted:
        assert np.array_equal(made, wave)
        return
    assert len(made) == -(-count * wanted // given)
    for place in range(0, len(made), max(1, len(made) // 10)):
        assert abs(made[place] - one_output(wave, given, wanted, place)) < 2e-6


def one_output(wave: Any, given: int, wanted: int, place: int) -> float:
    """One output of the formula."""
    o, n = given // gcd(given, wanted), wanted // gcd(given, wanted)
    base = 0.99 * min(o, n)
    t = np.clip((np.arange(len(wave)) / o - place / n) * base, -6, 6)
    return float(np.sinc(t) * np.cos(np.pi * t / 12) ** 2 * base / o @ wave.astype(float))


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from((16000, 44100, 48000, 96000, 44056)),
    st.lists(st.integers(0, 90_000), max_size=6),
    st.integers(0, 60_000),
    st.none() | st.integers(0, 60_000),
)
def test_a_part_that_comes_in_pieces_is_that_part_of_the_whole(
    rate: int, sizes: list[int], first: int, count: int | None
) -> None:
    wave = noise(100_000)
    whole = resample(wave, rate, 24000)
    begin, end = inputs_of(rate, 24000, first, count)
    part = wave[begin:end]

    def blocks() -> Iterator[Any]:
        place = 0
        for size in sizes:
            yield part[place : place + size]
            place += size
        yield part[place:]

    made = [np.zeros(0, np.float32), *resample_blocks(blocks(), rate, 24000, first=first, count=count)]
    expected = whole[first : None if count is None else first + count]
    assert sum(map(len, made)) == len(expected)
    assert np.allclose(np.concatenate(made), expected, atol=1e-6)
    if count is not None and end is not None:
        # No more is read than what is wanted, what the filter reaches, and a period.
        period = rate // gcd(rate, 24000)
        assert end - begin <= count * rate / 24000 + period + 200


@pytest.mark.parametrize("rate", [16000, 44100, 48000, 96000])
def test_tones_keep_their_loudness_and_pitch(rate: int) -> None:
    time = np.arange(rate) / rate
    made = resample(np.sin(2 * np.pi * 1000 * time).astype(np.float32), rate, 24000)
    expected = np.sin(2 * np.pi * 1000 * np.arange(24000) / 24000)
    assert np.abs(made - expected)[200:-200].max() < 2e-3
    steady = resample(np.ones(rate, np.float32), rate, 24000)
    assert np.abs(steady[200:-200] - 1).max() < 2e-3


def test_tones_that_the_new_rate_cannot_hold_are_gone() -> None:
    time = np.arange(48000) / 48000
    made = resample(np.sin(2 * np.pi * 17000 * time).astype(np.float32), 48000, 24000)
    assert np.abs(made[200:-200]).max() < 2e-3


def test_nothing_becomes_nothing() -> None:
    assert len(resample(np.zeros(0, np.float32), 44100, 24000)) == 0
    assert resample(np.zeros(0, np.float32), 24000, 24000).dtype == np.float32
