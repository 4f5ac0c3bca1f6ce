"""ModelRunner, the three ready-made models, and the evaluation harness."""

from bench.evaluation.api import APIModel
from bench.evaluation.harness import BenchmarkReport, EvaluationHarness
from bench.evaluation.huggingface import HuggingFaceModel
from bench.evaluation.interface import ModelInterface
from bench.evaluation.local import LocalModel
from bench.evaluation.model_runner import ModelRunner

__all__ = [
    "APIModel",
    "BenchmarkReport",
    "EvaluationHarness",
    "HuggingFaceModel",
    "LocalModel",
    "ModelInterface",
    "ModelRunner",
]
