"""What a result was made with: versions, machine, revision; stored with every run."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from steelyard import __version__

_MATTERS = (
    "numpy", "tokenizers", "torch", "transformers", "peft", "accelerate", "datasets", "safetensors",
    "llama_cpp", "vllm", "sglang", "sacrebleu", "rapidfuzz", "pyarrow", "PIL", "torchvision", "pypdfium2",
    "soundfile", "av",
)  # fmt: skip
_DISTRIBUTIONS = {"llama_cpp": "llama-cpp-python", "PIL": "pillow"}


def describe_environment() -> dict[str, Any]:
    """Python, the libraries that this process has loaded, the machine, and the git revision if any."""
    return {
        "python": platform.python_version(),
        "steelyard": __version__,
        "libraries": {
            name: version for name in _MATTERS if name in sys.modules and (version := _version(name))
        },
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": _memory(),
        "gpus": gpus(),
        "git": _revision(),
    }


def gpus() -> list[str]:
    """The names of the GPUs, as far as torch is loaded and sees any."""
    torch: Any = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [str(torch.cuda.get_device_name(n)) for n in range(torch.cuda.device_count())]


def _version(module: str) -> str | None:
    try:
        return metadata.version(_DISTRIBUTIONS.get(module, module))
    except metadata.PackageNotFoundError:
        return None


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _revision() -> dict[str, Any] | None:
    here = Path.cwd()
    if not any((folder / ".git").exists() for folder in (here, *here.parents)):
        return None
    commit = _git("rev-parse", "HEAD")
    return None if commit is None else {"commit": commit, "changed": bool(_git("status", "--porcelain"))}


def _git(*arguments: str) -> str | None:
    command = ["git", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
