"""The names of data sets, evaluators and postprocessors, as configurations import them."""

from __future__ import annotations

from importlib import import_module
from pkgutil import extend_path
from typing import Any

__path__ = extend_path(__path__, __name__)

_READERS = (
    "Aime2024Dataset Aime2025Dataset ARCDataset BaseDataset CEvalDataset CMMLUDataset CustomDataset "
    "GSM8KDataset HumanevalDataset IFEvalDataset JsonlDataset MATHDataset MMLUDataset"
)
_SCORING = (
    "BaseEvaluator AccEvaluator AccwithDetailsEvaluator BleuEvaluator EMEvaluator GSM8KEvaluator "
    "Gsm8kEvaluator HumanEvalEvaluator IFEvaluator MATHEvaluator RougeEvaluator"
)
_POSTPROCESSORS = (
    "extract_non_reasoning_content first_capital_postprocess first_number_postprocess "
    "first_option_postprocess general_postprocess gsm8k_dataset_postprocess gsm8k_postprocess "
    "last_capital_postprocess math_postprocess math_postprocess_v2"
)
_PLACES = {
    name: module
    for module, names in (
        ("readers", _READERS), ("scoring", _SCORING), ("postprocessors", _POSTPROCESSORS)
    )
    for name in names.split()
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_PLACES)
