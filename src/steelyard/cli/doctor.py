"""`steelyard doctor`: what is installed and would be, which devices and walls there are, a real answer."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from argparse import Namespace
from collections import defaultdict
from importlib import metadata
from typing import Any

from steelyard.cli.screen import show, show_json
from steelyard.engine import answer
from steelyard.environment import describe_environment, gpus
from steelyard.errors import SteelyardError, describe
from steelyard.models.references import open_model
from steelyard.sandbox.programs import examine_walls
from steelyard.types import Request

_OURS = "steelyard"
_EXTRA = re.compile(r"""extra\s*==\s*['"]([\w-]+)['"]""")
_NAME = re.compile(r"[\w.-]+")
_QUESTION = "Question: Tom has 3 pens and buys 4 more. How many pens does Tom have?\nAnswer:"


def run(options: Namespace) -> int:
    """Show the state of this installation; 1 if the embedded model does not answer."""
    found = examine()
    if getattr(options, "json", False):
        show_json(found)
    else:
        show("\n".join(_lines(found)))
    return 0 if found["embedded"]["works"] else 1


def examine() -> dict[str, Any]:
    """All that `doctor` tells."""
    embedded = _ask_embedded()
    devices = _devices()
    environment = describe_environment()
    return {
        "steelyard": environment["steelyard"],
        "python": f"{environment['python']} ({sys.executable})",
        "system": environment["system"],
        "cpus": environment["cpus"],
        "memory_bytes": environment["memory_bytes"],
        "devices": devices,
        "libraries": _installed(_requirements().get("", [])),
        "extras": {
            extra: _installed(libraries)
            for extra, libraries in _requirements().items()
            if extra not in ("", "dev")
        },
        "programs": _walls(),
        "embedded": embedded,
    }


def _requirements() -> dict[str, list[str]]:
    """The libraries that the base and each extra need."""
    wanted: defaultdict[str, list[str]] = defaultdict(list)
    for line in metadata.requires(_OURS) or []:
        extra = _EXTRA.search(line)
        name = _NAME.match(line)
        if name and name[0] != _OURS:
            wanted[extra[1] if extra else ""].append(name[0])
    return dict(sorted(wanted.items()))


def _installed(libraries: list[str]) -> dict[str, str | None]:
    return {library: _version(library) for library in libraries}


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _devices() -> list[str]:
    """The GPUs that torch can use; it is loaded to be asked, if it is there."""
    if importlib.util.find_spec("torch") is None:
        return []
    import torch

    mps = getattr(torch.backends, "mps", None)
    return gpus() or (["Apple GPU (mps)"] if mps is not None and mps.is_available() else [])


def _ask_embedded() -> dict[str, Any]:
    """Whether the embedded model answers, and what."""
    try:
        model = open_model("embedded")
        try:
            (response,) = answer(model, [Request("1", _QUESTION, params={"max_tokens": 48, "stop": ["\n"]})])
        finally:
            model.close()
    except SteelyardError as error:
        return {"works": False, "error": describe(error)}
    if response.error is not None:
        return {"works": False, "error": response.error}
    return {"works": True, "question": _QUESTION, "answer": response.text.strip()}


def _walls() -> dict[str, Any]:
    """Whether programs that a model wrote can be run here, and behind which walls."""
    try:
        return {"run": True, **examine_walls()}
    except SteelyardError as error:
        return {"run": False, "error": str(error)}


def _tell_walls(found: dict[str, Any]) -> str:
    if not found["run"]:
        return f"are not run: {found['error']}"
    names = {"namespaces": found["namespaces"], f"Landlock {found['landlock']}": found["landlock"]}
    told = f"are run behind {', '.join([name for name, there in names.items() if there] + ['seccomp'])}"
    if found["namespaces"]:
        return told
    return f"{told}; without threads or files of their own, as there are no namespaces: {found['why_not']}"


def _lines(found: dict[str, Any]) -> list[str]:
    memory = found["memory_bytes"]
    lines = [
        f"steelyard  {found['steelyard']}",
        f"python     {found['python']}",
        f"system     {found['system']}",
        f"machine    {found['cpus']} CPUs, "
        + (f"{memory / 2**30:.1f} GiB of memory" if memory else "memory unknown"),
        "devices    " + (", ".join(found["devices"]) or "no GPU that torch could use; models run on the CPU"),
        f"threads    OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}",
        "libraries  " + _versions(found["libraries"]),
        "extras",
    ]
    for extra, libraries in found["extras"].items():
        missing = [library for library, version in libraries.items() if version is None]
        state = f"lacks {', '.join(missing)}: pip install 'steelyard[{extra}]'" if missing else "installed"
        there = {library: version for library, version in libraries.items() if version is not None}
        lines.append(f"  {extra:<8} {state}" + (f" ({_versions(there)})" if there else ""))
    lines.append(f"programs   {_tell_walls(found['programs'])}")
    embedded = found["embedded"]
    if embedded["works"]:
        lines += [
            "embedded   answers:",
            f"  {embedded['question'].splitlines()[0]}",
            f"  {embedded['answer']}",
        ]
    else:
        lines.append(f"embedded   does not answer: {embedded['error']}")
    return lines


def _versions(libraries: dict[str, str | None]) -> str:
    return ", ".join(f"{library} {version or 'missing'}" for library, version in libraries.items())
