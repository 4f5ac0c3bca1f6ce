"""The meter: what a block costs."""

from __future__ import annotations

import sys
import threading
import time
import types
from typing import Any

import pytest

from steelyard.meter import Measured, Meter, measure
from steelyard.models.references import open_model


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


def test_a_call_is_measured_and_gives_its_result() -> None:
    def work(first: int, *, second: int) -> int:
        burn(0.02)
        return first + second

    found = measure(work, 3, second=4)
    assert isinstance(found, Measured)
    assert found.result == 7
    assert found.cost.cpu >= 0.019
    assert found.cost.wall >= 0.019
    assert 0 < found.cost.rss_idle_bytes <= found.cost.rss_peak_bytes


def test_what_a_measured_call_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        measure(divmod, 1, 0)
    # The failed one has left no trace.
    assert measure(divmod, 7, 2).result == (3, 1)


def test_meters_on_several_threads_do_not_lose_each_others_peaks() -> None:
    held, go = threading.Event(), threading.Event()
    peaks: list[int] = []

    def outer() -> None:
        with Meter() as meter:
            block = bytearray(80_000_000)
            del block
            held.set()
            go.wait(10)
        peaks.append(meter.cost.rss_peak_bytes - meter.cost.rss_idle_bytes)

    thread = threading.Thread(target=outer)
    thread.start()
    held.wait(10)
    # Each of them resets the peak that the kernel keeps for the whole process.
    others = [threading.Thread(target=lambda: [measure(int) for _ in range(50)]) for _ in range(4)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    go.set()
    thread.join()
    assert peaks[0] > 60_000_000


def test_opening_a_model_is_measured_and_a_model_itself_is_not() -> None:
    model = open_model("embedded")
    cost = model.load_cost
    assert cost is not None
    assert cost.wall > 0 and cost.cpu > 0
    assert cost.rss_peak_bytes >= cost.rss_idle_bytes > 0
    assert open_model(model).load_cost is cost


class Card:
    """Stands in for torch.cuda and the driver: two cards, of which the second is never used."""

    def __init__(self) -> None:
        self.held, self.peak, self.millijoules = 0, 0, [5_000, 70_000]

    def use(self, size: int, *, millijoules: int) -> None:
        self.peak = max(self.peak, self.held + size)
        self.millijoules[0] += millijoules
        self.millijoules[1] += 9_000

    def reset_peak_memory_stats(self, device: int) -> None:
        if device == 0:
            self.peak = self.held

    def max_memory_allocated(self, device: int) -> int:
        return self.peak if device == 0 else 0

    def memory_allocated(self, device: int) -> int:
        return self.held if device == 0 else 0

    def is_initialized(self) -> bool:
        return True

    def device_count(self) -> int:
        return 2

    def synchronize(self, device: int) -> None:
        assert device == 0

    def get_device_properties(self, device: int) -> Any:
        return types.SimpleNamespace(uuid=f"stand-in-{device}")


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    card = Card()
    nvml = types.SimpleNamespace(
        NVMLError=OSError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: int(uuid.removeprefix("GPU-stand-in-")),
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: card.millijoules[handle],
    )
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=card))
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    return card


def test_the_gpu_peak_is_that_of_the_block_even_with_a_meter_inside(card: Card) -> None:
    card.held = 100
    with Meter() as outer:
        card.use(1000, millijoules=2_000)
        with Meter() as inner:
            card.use(50, millijoules=500)
    assert (outer.cost.gpu_peak_bytes, inner.cost.gpu_peak_bytes) == (1100, 150)
    # The card that holds nothing of this process spends for others.
    assert (outer.cost.gpu_energy_joules, inner.cost.gpu_energy_joules) == (2.5, 0.5)


def test_energy_that_cannot_be_known_is_none(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int) -> int:
        raise OSError("not supported")

    monkeypatch.setattr(sys.modules["pynvml"], "nvmlDeviceGetTotalEnergyConsumption", refuse)
    card.held = 10
    with Meter() as meter:
        card.use(5, millijoules=1)
    assert meter.cost.gpu_peak_bytes == 15
    assert meter.cost.gpu_energy_joules is None


@pytest.mark.real
def test_a_real_gpu_tells_memory_and_energy() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    torch.zeros(1, device="cuda")

    def multiply() -> None:
        block = torch.ones(4096, 4096, device="cuda")
        for _ in range(200):
            block = block @ block / 4096

    cost = measure(multiply).cost
    assert cost.gpu_peak_bytes is not None and cost.gpu_peak_bytes >= 4096 * 4096 * 4
    pytest.importorskip("pynvml")
    assert cost.gpu_energy_joules is not None and cost.gpu_energy_joules >= 0
