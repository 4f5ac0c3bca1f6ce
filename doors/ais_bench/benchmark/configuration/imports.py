"""What configuration files import that lies in no file: presets, `read_base`, names read as data.

    from mmengine.config import read_base
    from ais_bench.benchmark.configs.models.vllm_api.vllm_api_general_chat import models
    from ais_bench.benchmark.runners import LocalRunner

All of it is asked for last: an installed mmengine and the user's own files come first.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from ais_bench.benchmark.configuration.presets import KINDS, PRESETS, WORDS, copy_preset
from steelyard.errors import UnknownName

FILES = "_ais_bench_files"
"""The package that all folders of configuration files stand in."""

_HOME = "ais_bench.benchmark"
_CONFIGS = f"{_HOME}.configs"
_ELSEWHERE = "opencompass"
_POSTPROCESSORS = f"{_HOME}.datasets.postprocessors"
# The same functions are known by several places.
_ALSO = {
    f"{_HOME}.utils.text_postprocessors": _POSTPROCESSORS,
    f"{_HOME}.utils.postprocess": _POSTPROCESSORS,
    f"{_HOME}.utils.postprocess.text_postprocessors": _POSTPROCESSORS,
    f"{_HOME}.utils.postprocess.model_postprocessors": _POSTPROCESSORS,
}
_MEASURED = f"{_HOME}.datasets.measured"
_ALSO |= {
    f"{_HOME}.datasets.{name}": _MEASURED for name in ("synthetic", "mooncake_trace", "sharegpt", "mtbench")
}
_READ_AS_DATA = {
    f"{_HOME}.calculators": "DefaultPerfMetricCalculator StablePerfMetricCalculator",
    f"{_HOME}.partitioners": "NaivePartitioner SizePartitioner NumWorkerPartitioner",
    f"{_HOME}.runners": "LocalRunner LocalAPIRunner",
    f"{_HOME}.tasks": "OpenICLInferTask OpenICLApiInferTask OpenICLEvalTask OpenICLPerfTask",
    f"{_HOME}.summarizers": "DefaultSummarizer SubjectiveSummarizer DefaultPerfSummarizer",
}


def know_names() -> None:
    """Let imports find these names, from now on."""
    if not any(isinstance(finder, _Names) for finder in sys.meta_path):
        sys.meta_path.append(_Names())


@contextlib.contextmanager
def read_base() -> Iterator[None]:
    """Marks the imports of a configuration file that are of other configuration files."""
    yield


class _Names(MetaPathFinder):
    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        fill = _filling(fullname)
        return None if fill is None else ModuleSpec(fullname, _Made(fill), is_package=True)


class _Made(Loader):
    """A module without a file: what it has is told by a function of a name."""

    def __init__(self, attribute: Callable[[str], Any]) -> None:
        self._attribute = attribute

    def exec_module(self, module: ModuleType) -> None:
        def attribute(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return self._attribute(name)

        module.__getattr__ = attribute  # type: ignore[method-assign]


def _filling(fullname: str) -> Callable[[str], Any] | None:
    """What gives the attributes of a module; None where it is none of ours."""
    if fullname in ("mmengine", "mmengine.config"):
        return _one_of({"read_base": read_base, "config": None})
    if fullname in _READ_AS_DATA:
        # Their machinery is the engine here; that a file names them is all there is to them.
        return _one_of({name: type(name, (), {}) for name in _READ_AS_DATA[fullname].split()})
    if fullname in _ALSO:
        return _alias(_ALSO[fullname])
    if fullname == _ELSEWHERE or fullname.startswith(_ELSEWHERE + "."):
        return _alias(_HOME + fullname.removeprefix(_ELSEWHERE))
    if fullname == _CONFIGS:
        return _one_of({})
    if fullname.startswith((_CONFIGS + ".", FILES + ".")):
        return _preset(fullname.split("."))
    return None


def _one_of(known: dict[str, Any]) -> Callable[[str], Any]:
    def attribute(name: str) -> Any:
        if known.get(name) is None:
            raise AttributeError(name)
        return known[name]

    return attribute


def _alias(target: str) -> Callable[[str], Any] | None:
    """The names of one of our modules, under the name that it has in the tool it is known from."""
    try:
        module = importlib.import_module(target)
    except ModuleNotFoundError:
        return None
    return lambda name: getattr(module, name)


def _preset(parts: Sequence[str]) -> Callable[[str], Any] | None:
    """What a path of folders that ends in the name of a preset gives; of its folders any will do."""
    kind = next((part for part in reversed(parts) if part in KINDS), None)
    if kind is None:
        return None
    name = parts[-1]

    def attribute(wanted: str) -> Any:
        if wanted in PRESETS[kind]:
            raise AttributeError(wanted)  # it is a module, and imported as one
        if name not in PRESETS[kind]:
            raise UnknownName(WORDS[kind], wanted if name == kind else name, PRESETS[kind])
        made = copy_preset(kind, name)
        if kind == "summarizers":
            return made
        if not wanted.endswith(kind):
            raise AttributeError(wanted)
        return [made]

    return attribute
