"""Where a network computes: its device, and threads beside each other that do not get in each other's way.

Several sounds heard at once, each on one thread, take less time than one sound on several threads, and
threads that wait for each other within a sound collapse on a busy machine.
"""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from threading import Lock, Thread

import torch

from steelyard.errors import UsageError
from steelyard.models.checkpoints import pick_device

_MOST_WORKERS = 8
_setting = Lock()


def choose_device(wanted: str) -> tuple[torch.device, tuple[str, ...]]:
    """The device asked for, or the best there is for "auto"; and what is to be said of that."""
    cuda = torch.cuda.is_available()
    if wanted == "auto":
        return torch.device("cuda" if cuda else "cpu"), ()
    if wanted.partition(":")[0] != "cuda" or cuda:
        return pick_device(wanted), ()
    remark = f"there is no {wanted} here: the scores are computed on the CPU"
    warnings.warn(remark, stacklevel=2)
    return torch.device("cpu"), (remark,)


def count_cores() -> int:
    """How many cores this process may use."""
    with_affinity = getattr(os, "sched_getaffinity", None)
    return len(with_affinity(0)) if with_affinity is not None else os.cpu_count() or 1


def count_workers(wanted: int | None) -> int:
    """How many sounds are worked on at a time."""
    if wanted is not None and wanted < 1:
        raise UsageError(f"workers={wanted}", hint="it must be at least 1")
    return wanted or min(_MOST_WORKERS, count_cores())


def begin_lanes(lanes: int, *, share: int) -> ThreadPoolExecutor:
    """Threads on each of which torch uses so many threads."""
    return ThreadPoolExecutor(lanes, "lane", initializer=limit_threads, initargs=(share,))


def limit_threads(count: int) -> None:
    """Have torch use so many threads for what this thread computes; others keep what they are set to."""
    # Where its threads are not OpenMP's, they are those of the whole process.
    if "ATen parallel backend: OpenMP" not in torch.__config__.parallel_info():
        return
    with _setting:
        others = torch.get_num_threads()
        torch.set_num_threads(count)
        # That also said how many threads begin with that are yet to come: one of these says it again.
        saying = Thread(target=torch.set_num_threads, args=(others,))
        saying.start()
        saying.join()
