# Everything a newcomer, a developer and CI need. `make` alone lists the targets.
#
#   PYTHON=/usr/bin/python3.12   the Python that .venv is made with (3.10 to 3.13)
#   GPU=1                        fbgemm for CUDA instead of the CPU build
#   TORCH_INDEX=URL              where torch comes from, e.g. https://download.pytorch.org/whl/cpu (smaller, no CUDA)

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

TORCH := torch==2.13.0
TORCHREC := torchrec==1.8.0
FBGEMM := $(if $(GPU),fbgemm-gpu,fbgemm-gpu-cpu)==1.8.0
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PROTOS := tzrec/protos/.compiled
PIP = $(BIN)/python -m pip install -qq --disable-pip-version-check
TESTS ?= tests
PYTEST_FLAGS ?=

.PHONY: help demo test test-slow check format proto bench bench-fg bench-models quality docs venv clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

demo:  ## from nothing to a trained, exported and used model; prints what happened and where things lie
	@start=$$(date +%s); $(MAKE) -s venv; made=$$(date +%s); $(MAKE) -s proto; \
	$(BIN)/python -m tzrec.tools.demo --environment_s $$((made - start)) --protos_s $$(($$(date +%s) - made))

test: $(PROTOS)  ## the tests
	@$(BIN)/python -m pytest $(PYTEST_FLAGS) $(TESTS)

test-slow: $(PROTOS)  ## the tests and the slow ones
	@$(BIN)/python -m pytest -m "slow or not slow" $(PYTEST_FLAGS) $(TESTS)

check: $(PROTOS)  ## ruff and mypy
	@$(BIN)/ruff check --quiet tzrec tests setup.py $(wildcard experiments)
	@$(BIN)/ruff format --check --quiet tzrec tests setup.py $(wildcard experiments) || \
		{ echo "some files are not formatted: make format"; exit 1; }
	@$(BIN)/mypy

format: $(PROTOS)  ## let ruff format and sort
	@$(BIN)/ruff check --quiet --fix tzrec tests setup.py $(wildcard experiments) || true
	@$(BIN)/ruff format --quiet tzrec tests setup.py $(wildcard experiments)

proto: $(PROTOS)  ## compile protos/ into tzrec/protos (again after an edit)

bench: $(PROTOS)  ## measure training, evaluation and prediction on this machine
	@$(BIN)/python experiments/bench/bench.py

bench-fg: $(PROTOS)  ## measure how fast features are made
	@$(BIN)/python experiments/bench/fg.py

bench-models: $(PROTOS)  ## measure DLRM beside a plain loop, and every model beside the loop version of its blocks
	@$(BIN)/python experiments/bench/models.py

quality: $(PROTOS)  ## can every model learn 256 rows by heart and find a planted signal? A table and a verdict
	@$(BIN)/python experiments/planted/planted.py

docs: $(PROTOS)  ## write the config reference from the comments of the protos
	@$(BIN)/python -m tzrec.tools.config_reference

venv: $(READY)  ## make .venv; done once, and again when pyproject.toml changes

clean:  ## remove what make made: .venv, compiled protos, caches
	@rm -rf $(VENV) tzrec/protos build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

$(PROTOS): $(READY) $(shell find protos -name '*.proto')
	@$(BIN)/python setup.py --quiet proto
	@touch $@

# torch comes first, from the index that was asked for; torchrec and fbgemm last and without dependencies: torchrec's would
# bring the CUDA build of fbgemm over the CPU one (see pyproject.toml), and pip complains of them at each later install.
$(READY): pyproject.toml setup.py
	@python=$$($(find_python)); echo "making $(VENV) with $$($$python --version): a minute or a few"; \
	test -x $(BIN)/python || $$python -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$$python cannot make virtual environments; on Debian: apt-get install python3-venv"; exit 1; }
	@$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	@$(PIP) setuptools "grpcio-tools>=1.85.1,<1.86"
	@$(PIP) --no-build-isolation --editable '.[dev]'
	@$(PIP) --no-deps $(TORCHREC) $(FBGEMM)
	@$(BIN)/python -m tzrec doctor > $@.log || { cat $@.log; exit 1; }
	@touch $@

# the first Python that is new enough and not too new; python3.x may be a name that does not run (pyenv)
define find_python
for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.10); do \
	if $$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null; then \
		echo $$python; exit 0; fi; done; \
echo "no Python 3.10 to 3.13 found; name one: make PYTHON=/path/to/python3.12" >&2; exit 1
endef
