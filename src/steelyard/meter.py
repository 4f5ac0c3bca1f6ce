"""What a `with` block costs: wall, CPU, memory and, on a GPU, its memory and energy.

with Meter() as meter:
    work()
print(meter.cost.cpu)
"""

from __future__ import annotations

import os
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

_active: list[Meter] = []


@dataclass(frozen=True, slots=True)
class Cost:
    """What was spent; memory in bytes, energy in joules, None where it cannot be known."""

    wall: float
    cpu: float
    rss_idle_bytes: int
    rss_peak_bytes: int
    gpu_peak_bytes: int | None = None
    gpu_energy_joules: float | None = None


class Meter:
    """Measures its block; `cost` may be read inside it, and stays after it."""

    def __enter__(self) -> Meter:
        _note_peaks()
        self._idle, self._peak = _rss(), 0
        _reset_peak()
        self._gpu = _Gpu()
        self._wall, self._cpu = time.perf_counter(), _cpu()
        self._cost: Cost | None = None
        _active.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cost = self.cost
        _active.remove(self)

    @property
    def cost(self) -> Cost:
        """What the block has cost so far, or did cost."""
        if self._cost is not None:
            return self._cost
        return Cost(
            wall=time.perf_counter() - self._wall,
            cpu=_cpu() - self._cpu,
            rss_idle_bytes=self._idle,
            rss_peak_bytes=max(self._peak, _peak_rss()),
            gpu_peak_bytes=self._gpu.peak(),
            gpu_energy_joules=self._gpu.energy(),
        )

    def _note(self, peak: int) -> None:
        self._peak = max(self._peak, peak)


def _cpu() -> float:
    """CPU seconds of this process and the children it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _status(field: str) -> int | None:
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return None


def _peak_rss() -> int:
    peak = _status("VmHWM")
    if peak is not None:
        return peak
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _rss() -> int:
    return _status("VmRSS") or _peak_rss()


def _note_peaks() -> None:
    # A meter inside another resets the kernel's peak, so the outer ones take note of it first.
    if _active:
        peak = _peak_rss()
        for meter in _active:
            meter._note(peak)


def _reset_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        # Not Linux, or not allowed: the peak is then that of the process so far.
        return


class _Gpu:
    """The GPUs as far as this process already uses them; nothing is loaded for the sake of measuring."""

    def __init__(self) -> None:
        torch: Any = sys.modules.get("torch")
        self._cuda: Any = None
        if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
            self._cuda = torch.cuda
            for device in range(self._cuda.device_count()):
                self._cuda.reset_peak_memory_stats(device)
        self._joules = self._total_energy()

    def peak(self) -> int | None:
        if self._cuda is None:
            return None
        return int(sum(self._cuda.max_memory_allocated(n) for n in range(self._cuda.device_count())))

    def energy(self) -> float | None:
        now = self._total_energy()
        return None if now is None or self._joules is None else now - self._joules

    def _total_energy(self) -> float | None:
        if self._cuda is None:
            return None
        try:
            import pynvml
        except ImportError:
            return None
        try:
            pynvml.nvmlInit()
            handles = [pynvml.nvmlDeviceGetHandleByIndex(n) for n in range(self._cuda.device_count())]
            return float(sum(pynvml.nvmlDeviceGetTotalEnergyConsumption(h) for h in handles)) / 1000
        except pynvml.NVMLError:
            return None
