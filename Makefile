# `make demo` and `make test` set up all they need in .venv; nothing else has to be installed first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: demo test test-real check format docs bench stress clean

$(VENV)/base: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

$(VENV)/dev: $(VENV)/base pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check torch==$(shell sed -n 's/^torch==//p' constraints.txt)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

$(VENV)/real: $(VENV)/dev
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[gguf]'
	touch $@

demo: $(VENV)/base
	$(BIN)/steelyard eval --model embedded --task arithmetic --html runs/demo.html

test: $(VENV)/dev
	$(BIN)/python -m pytest -n 2

test-real: $(VENV)/real
	$(BIN)/python -m pytest -m real

check: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2

format: $(VENV)/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/dev
	$(BIN)/python -m steelyard.cli.reference docs/cli.md

bench: $(VENV)/dev
	$(BIN)/python benchmarks/evaluation.py
	$(BIN)/python benchmarks/embedded.py
	$(BIN)/python benchmarks/local_models.py
	$(BIN)/python benchmarks/uncertainty.py

stress: $(VENV)/base
	$(BIN)/python benchmarks/kills.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache runs
