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
_MEASURED = "MTBenchDataset MooncakeTraceDataset ShareGPTDataset SyntheticDataset SyntheticEvaluator"
_SCORING = "GSM8KEvaluator Gsm8kEvaluator HumanEvalEvaluator IFEvaluator MATHEvaluator"
_EVALUATORS = "BaseEvaluator AccEvaluator AccwithDetailsEvaluator BleuEvaluator EMEvaluator RougeEvaluator"
_POSTPROCESSORS = (
    "extract_non_reasoning_content first_capital_postprocess first_number_postprocess "
    "first_option_postprocess general_postprocess gsm8k_dataset_postprocess gsm8k_postprocess "
    "last_capital_postprocess math_postprocess math_postprocess_v2"
)
_PLACES = {
    name: module
    for module, names in (
        (f"{__name__}.readers", _READERS),
        (f"{__name__}.measured", _MEASURED),
        (f"{__name__}.scoring", _SCORING),
        (f"{__name__}.postprocessors", _POSTPROCESSORS),
        ("ais_bench.benchmark.openicl.icl_evaluator", _EVALUATORS),
    )
    for name in names.split()
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted(_PLACES)
