"""The meter: what a block costs."""

from __future__ import annotations

import time

from steelyard.meter import Meter


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(range(1000))


def test_cpu_and_wall_are_those_of_the_block() -> None:
    with Meter() as meter:
        burn(0.1)
        time.sleep(0.1)
    cost = meter.cost
    assert cost.cpu >= 0.09
    assert cost.wall >= cost.cpu
    assert cost.wall >= 0.19
    burn(0.05)
    assert meter.cost == cost


def test_the_peak_is_that_of_the_block_even_with_a_meter_inside() -> None:
    with Meter() as outer:
        held = bytearray(80_000_000)
        del held
        with Meter() as inner:
            small = bytearray(1_000_000)
            del small
    size = 60_000_000
    assert outer.cost.rss_peak_bytes - outer.cost.rss_idle_bytes > size
    assert inner.cost.rss_peak_bytes - inner.cost.rss_idle_bytes < size


def test_without_a_gpu_there_are_no_gpu_figures() -> None:
    with Meter() as meter:
        pass
    assert meter.cost.gpu_peak_bytes is None
    assert meter.cost.gpu_energy_joules is None


def test_cost_can_be_read_inside_the_block() -> None:
    with Meter() as meter:
        first = meter.cost.wall
        time.sleep(0.01)
        assert meter.cost.wall > first
