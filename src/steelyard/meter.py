"""What a `with` block, or a call, costs: wall, CPU, memory and, on a GPU, its memory and energy.

    with Meter() as meter:
        work()
    print(meter.cost.cpu)

    found = measure(work, 7)
    print(found.result, found.cost.wall)

Everything is counted for the whole process: two blocks at the same time each see both.
"""

from __future__ import annotations

import functools
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar

from steelyard.types import Cost

__all__ = ["Cost", "Measured", "Meter", "measure"]

T = TypeVar("T")
P = ParamSpec("P")

# One at a time may begin, end or be read: a peak that one resets must have been noted by all others.
_lock = Lock()
_active: list[Meter] = []


class Meter:
    """Measures its block; `cost` may be read inside it, and stays after it."""

    def __enter__(self) -> Meter:
        with _lock:
            for meter in _active:
                meter._note_peaks()
            self._idle, _ = _memory()
            self._peak = 0
            self._gpu_peaks: dict[int, int] = {}
            self._cost: Cost | None = None
            _reset_peaks()
            _active.append(self)
        _finish_gpu_work()
        self._energy = _energy()
        self._wall, self._cpu = time.perf_counter(), _cpu()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _finish_gpu_work()
        self._cost = self.cost
        with _lock:
            _active.remove(self)

    @property
    def cost(self) -> Cost:
        """What the block has cost so far, or did cost."""
        if self._cost is not None:
            return self._cost
        wall, cpu = time.perf_counter() - self._wall, _cpu() - self._cpu
        with _lock:
            self._note_peaks()
        return Cost(
            wall=wall,
            cpu=cpu,
            rss_idle_bytes=self._idle,
            rss_peak_bytes=self._peak,
            gpu_peak_bytes=sum(self._gpu_peaks.values()) if self._gpu_peaks else None,
            gpu_energy_joules=self._joules(),
        )

    def _note_peaks(self) -> None:
        self._peak = max(self._peak, _memory()[1])
        for device, peak in _gpu_peaks().items():
            self._gpu_peaks[device] = max(self._gpu_peaks.get(device, 0), peak)

    def _joules(self) -> float | None:
        """What the cards that hold something of this process have spent since the beginning."""
        now = _energy()
        used = [device for device, peak in self._gpu_peaks.items() if peak]
        if now is None or self._energy is None or any(device not in self._energy for device in used):
            return None
        return sum(now[device] - self._energy[device] for device in used)


@dataclass(frozen=True, slots=True)
class Measured(Generic[T]):
    """What a call gave, and what it cost."""

    result: T
    cost: Cost


def measure(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Measured[T]:
    """Call `work` with what follows it; what it raises is raised."""
    with Meter() as meter:
        result = work(*args, **kwargs)
    return Measured(result, meter.cost)


def _cpu() -> float:
    """CPU seconds of this process and the children it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _memory() -> tuple[int, int]:
    """The memory of this process, and the most of it since the last reset, in bytes."""
    try:
        status = Path("/proc/self/status").read_bytes()
        peak, rss = (int(status.split(name, 1)[1].split(None, 1)[0]) for name in (b"VmHWM:", b"VmRSS:"))
        return rss * 1024, peak * 1024
    except (OSError, IndexError):
        # Elsewhere than on Linux only the most that it ever was is known.
        unit = 1 if sys.platform == "darwin" else 1024
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return most, most


def _reset_peaks() -> None:
    cuda = _cuda()
    if cuda is not None:
        for device in range(cuda.device_count()):
            cuda.reset_peak_memory_stats(device)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        # Not Linux, or not allowed: the peak is then that of the process so far.
        return


def _cuda() -> Any:
    """torch's view of the GPUs, once this process uses one; nothing is loaded for the sake of measuring."""
    cuda: Any = getattr(sys.modules.get("torch"), "cuda", None)
    in_use = getattr(cuda, "is_initialized", None)
    return cuda if in_use is not None and in_use() else None


def _finish_gpu_work() -> None:
    """Wait for what was given to the GPUs: work begun before is not the block's, its own is."""
    cuda = _cuda()
    if cuda is not None:
        for device in range(cuda.device_count()):
            if cuda.memory_allocated(device):
                cuda.synchronize(device)


def _gpu_peaks() -> dict[int, int]:
    """The most memory that tensors held since the last reset, by GPU."""
    cuda = _cuda()
    if cuda is None:
        return {}
    return {device: int(cuda.max_memory_allocated(device)) for device in range(cuda.device_count())}


def _energy() -> dict[int, float] | None:
    """Joules that each GPU has spent since its driver was loaded; None where that cannot be known."""
    cuda = _cuda()
    if cuda is None:
        return None
    devices = [cuda.get_device_properties(n) for n in range(cuda.device_count())]
    cards = _cards(tuple(str(getattr(device, "uuid", "")) for device in devices))
    if cards is None:
        return None
    import pynvml

    try:
        spent = [pynvml.nvmlDeviceGetTotalEnergyConsumption(card) for card in cards]
    except pynvml.NVMLError:
        return None
    return {device: float(millijoules) / 1000 for device, millijoules in enumerate(spent)}


@functools.cache
def _cards(uuids: tuple[str, ...]) -> tuple[Any, ...] | None:
    """The driver's handles of GPUs: its numbering is not that of a process that sees only some of them."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        return tuple(pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}") for uuid in uuids)
    except pynvml.NVMLError:
        return None
