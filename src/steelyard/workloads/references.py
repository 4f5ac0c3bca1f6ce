"""Where a reference becomes a Workload: `open_workload(ref, **options)`.

    synthetic, mooncake, …      a built-in name, or one that a package registers
    ./file.py:Greetings         a Workload, or a class or function that makes one or gives its sessions
    trace.jsonl, log.csv        a file: a trace, conversations or requests, as its columns say
    gsm8k                       a task, each of its questions a session
    None                        made prompts

or the thing itself: a Workload, a Task, Data, or a list of sessions, turns or prompts.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from steelyard.builtin import BUILTINS
from steelyard.data.files import find_files
from steelyard.data.references import open_origin
from steelyard.data.source import Data
from steelyard.errors import DataError, SteelyardError, UsageError, describe, locate
from steelyard.models.base import Model
from steelyard.plugins import is_reference, resolve
from steelyard.tasks.base import Task
from steelyard.workloads.additions import Added, read_additions
from steelyard.workloads.base import Workload
from steelyard.workloads.listed import Listed, Made

# By what a file's first row has it is known; the first that fits.
_KNOWN = (
    ("mooncake", ("timestamp", "input_length")),
    ("mooncake", ("timestamp", "input_text")),
    ("burstgpt", ("timestamp", "request tokens")),
    ("burstgpt", ("timestamp", "contexttokens")),
    ("sharegpt", ("conversations",)),
    ("sharegpt", ("conversation",)),
    ("mtbench", ("turns", "question_id")),
)


def open_workload(ref: Any = None, *, model: Model | None = None, **options: Any) -> Workload:
    """The workload that `ref` names, or that it is; `model` is the one it is meant for, whose tokens count.

    Options are those of its kind, and those that any workload has, which `additions` lists.
    """
    name, found, meant = _find(ref)
    parameters: Mapping[str, inspect.Parameter] = {}
    if not is_workload(found) and callable(found):
        parameters = inspect.signature(found).parameters
    own, others = _divide({**options, **meant}, parameters)
    # A service puts a text into its template itself; a model here takes it as it is.
    chat = model is not None and model.chat and not model.elsewhere
    added = read_additions(others, seed=options.get("seed", 0), chat=chat)
    for option in others:
        names = sorted({*parameters, *Added.options} - {"model", "options"})
        near = get_close_matches(option, names, n=2) or names
        raise UsageError(f"the workload {name} has no option {option!r}", hint="it has " + ", ".join(near))
    if parameters or inspect.isroutine(found) or inspect.isclass(found):
        if model is not None and "model" in parameters:
            own.setdefault("model", model)
        opened = _make(name, found, own, parameters)
    else:
        opened = found if is_workload(found) else Listed(found, name=name)
    return Added(opened, added) if added else opened


def _find(ref: Any) -> tuple[str, Any, dict[str, Any]]:
    """What a reference is called and what it stands for, with the options that it means."""
    if ref is None:
        return "synthetic", resolve("workloads", "synthetic"), {}
    if isinstance(ref, Task):
        return "task", resolve("workloads", "task"), {"task": ref}
    if isinstance(ref, Data):
        return "custom", resolve("workloads", "custom"), {"data": ref}
    if not isinstance(ref, (str, Path)):
        return str(getattr(ref, "__name__", "") or getattr(ref, "name", "")), ref, {}
    name = str(ref)
    if name in BUILTINS["workloads"]:
        return name, resolve("workloads", name), {}
    if name in BUILTINS["tasks"] or name.endswith((".yaml", ".yml")):
        return "task", resolve("workloads", "task"), {"task": name}
    if not (is_reference(name) and not Path(name).exists()) and (name == "-" or find_files(name)):
        kind = guess_kind(name)
        return kind, resolve("workloads", kind), {"data": name}
    found = resolve("workloads", name)
    return _find(found) if isinstance(found, (Task, Data)) else (name, found, {})


def guess_kind(ref: str) -> str:
    """Which workload the rows of a file are, by the columns of the first; requests of one's own else."""
    if ref == "-":
        return "custom"
    first = next((row for _, _, row in open_origin(ref).rows()), None)
    if not isinstance(first, Mapping):
        return "custom"
    columns = {str(column).strip().casefold() for column in first}
    return next((kind for kind, wanted in _KNOWN if columns.issuperset(wanted)), "custom")


def is_workload(thing: Any) -> bool:
    """Whether this gives sessions and says what they are."""
    return not inspect.isclass(thing) and hasattr(thing, "identity") and hasattr(thing, "__iter__")


def _divide(
    options: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options that something takes itself, and the others."""
    hands_on = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    own = {
        option: given
        for option, given in options.items()
        if option in parameters or (hands_on and option not in Added.options)
    }
    return own, {option: given for option, given in options.items() if option not in own}


def _make(
    name: str, make: Callable[..., Any], own: dict[str, Any], parameters: Mapping[str, inspect.Parameter]
) -> Workload:
    """What a class or a function makes of its options."""
    for one in parameters.values():
        named = one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
        if named and one.default is one.empty and one.name not in own:
            raise UsageError(f"the workload {name} needs {one.name}", hint=f"{one.name}=…")
    try:
        made = make(**own)
    except SteelyardError:
        raise
    except Exception as error:
        message = f"the workload {name} cannot be made: {describe(error)}"
        raise UsageError(message, hint=locate(error)) from error
    if is_workload(made):
        return made  # type: ignore[no-any-return]
    if isinstance(made, Iterable):
        return Made(make, own, made, name=name)
    raise DataError(f"{name} gave a {type(made).__name__}, no workload", hint="sessions, turns or prompts")
