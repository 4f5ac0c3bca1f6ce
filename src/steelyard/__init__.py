"""Weigh any model: evaluate, load-test, score, tune and serve it through one interface."""

__version__ = "0.1.0"
