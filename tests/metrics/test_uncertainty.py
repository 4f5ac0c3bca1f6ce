"""Intervals hold the truth and equals seldom differ: a small run of benchmarks/uncertainty.py."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "uncertainty.py"


@pytest.fixture(scope="module")
def simulation():
    spec = importlib.util.spec_from_file_location("uncertainty_simulation", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("rows", "draws"),
    [
        ("numbers_rows", 1000),
        ("clusters_rows", 400),
        ("differences_rows", 400),
        ("corpus_rows", 24),
        ("exchange_rows", 20),
        ("correlations_rows", 16),
        ("worths_rows", 200),
        ("two_models_rows", 16),
    ],
)
def test_simulated_rates_are_near_what_they_claim(simulation, rows, draws):
    for row in getattr(simulation, rows)(draws, np.random.default_rng(5)):
        wanted = 0.95 if row.kind == "interval" else 0.05
        # One point, as the full table allows, and four standard errors of so few draws.
        slack = 0.01 + 4 * (0.05 * 0.95 / row.draws) ** 0.5
        assert abs(row.share - wanted) <= slack, row


def test_passes_are_covered_as_computed(simulation):
    for row in simulation.passes_rows():
        assert 0.94 <= row.share <= 0.96, row
