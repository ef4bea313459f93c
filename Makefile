# `make demo` and `make test` are the whole set-up: each makes the virtual environment it needs, from Python 3.11+ alone.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN = $(VENV)/bin
JOBS ?= 2

.PHONY: demo test lint types format bench compat docs wheel fuzz reliability lock lowest newest clean

demo: $(VENV)/.demo
	rm -rf demo-output
	$(BIN)/ctfast demo demo-output

# Files of tests go to two processes; one alone, or in a debugger: .venv/bin/python -m pytest tests/NAME.py
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 to 3.14 is needed and none is on the PATH: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip # Python's own finds packages half as fast, a minute of what follows

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[dicom,codecs,report]"
	touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

# What CI installs, package by package with its hashes. Made anew after a change of dependencies: make lock.
$(VENV)/.locked: $(VENV)/bin/python packaging/locked.txt
	$(BIN)/python -m pip install --quiet uv==0.13.9 || true # in a sixth of pip's time, where it can be had
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement packaging/locked.txt || \
		$(BIN)/python -m pip install --quiet --require-hashes --requirement packaging/locked.txt
	touch $@

lock: $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--no-header --extra dev --output-file packaging/locked.txt pyproject.toml

# Damaged files of every kind, with a new seed each time; a file that breaks something stays in fuzz-found.
fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.trust.fuzzing --keep fuzz-found 100000 $$(date +%s)

# Kills, writers at once, faults of the machine, bad files, memory: the table of docs/reliability.md.
reliability: $(VENV)/.dev
	$(BIN)/python -m tests.trust.reliability

bench: $(VENV)/.dev
	$(BIN)/python -m pytest bench --ignore=bench/bench_cnn.py --ignore=bench/bench_volumes.py --benchmark-enable --benchmark-only --benchmark-json=bench/results/cpu.json
	$(BIN)/python -m pytest bench/bench_cnn.py --benchmark-enable --benchmark-only --benchmark-json=bench/results/cnn.json
	$(BIN)/python -m pytest bench/bench_volumes.py --benchmark-enable --benchmark-only --benchmark-json=bench/results/volumes.json
	$(BIN)/python bench/report.py bench/results/cpu.json bench/results/volumes.json bench/results/cnn.json

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "docs: build/site/index.html"

# The wheel as a user gets it: checked, installed into an environment of its own, the core tests run against it.
CLEAN = .venv-wheel/bin/python
CORE = __init__.py conftest.py cases.py cpu test_pipeline.py test_relied_on.py test_arguments.py
wheel:
	rm -rf build/dist .venv-wheel
	$(PYTHON) -m venv .venv-wheel
	$(CLEAN) -m pip install --quiet build twine
	$(CLEAN) -m build --outdir build/dist .
	$(CLEAN) -m twine check --strict build/dist/*
	$(CLEAN) -m pip install --quiet "$$(ls build/dist/*.whl)[dicom,report]" hypothesis opencv-python-headless pytest scikit-image
	mkdir .venv-wheel/tests && cp -r $(CORE:%=tests/%) .venv-wheel/tests
	touch .venv-wheel/pytest.ini # so that no setting of ours puts the sources before what is installed
	cd .venv-wheel && bin/python -m pytest --import-mode=importlib -q tests

# With the oldest packages that pyproject.toml allows, and with the newest there are, pre-releases among them. Kernels use
# internals of Numba, so its upper bound is the newest that was tested; the network's packages have tests of their own.
EDGE = --resolution lowest-direct
EDGE_TESTS = tests/test_pipeline.py tests/test_arguments.py tests/test_relied_on.py tests/cpu tests/files tests/runner tests/batch
lowest newest:
	rm -rf .venv-$@
	$(PYTHON) -m venv .venv-$@
	.venv-$@/bin/python -m pip install --quiet uv
	.venv-$@/bin/uv pip install --quiet --python .venv-$@/bin/python $(EDGE) --editable \
		".[dicom,nifti,volumes,arrays,pictures,codecs,report]" "fsspec>=2024.6" "hypothesis>=6.100" "opencv-python-headless>=4.9" \
		"pytest>=9.0" "pytest-benchmark>=5.1" "pytest-xdist>=3.6" "scikit-image>=0.24"
	NUMBA_CACHE_DIR=$(CURDIR)/.venv-$@/numba .venv-$@/bin/python -m pytest -q -W default -n $(JOBS) --dist loadfile \
		--junit-xml .venv-$@/results.xml $(EDGE_TESTS)
newest: EDGE = --prerelease allow

# The peers' own tests with our drop-ins in place; see tests/compat/peers.py.
compat: $(VENV)/.dev
	$(BIN)/python tests/compat/peers.py

clean:
	rm -rf $(VENV) .venv-wheel .venv-lowest .venv-newest build demo-output
	find kernels ctfast bench tests -name __pycache__ -prune -exec rm -rf {} +
