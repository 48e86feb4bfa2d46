# make demo   a small BIVA trained, evaluated and pictured (no network but for the install)
# make test   everything that CI checks
# make bench  step times beside hand-written PyTorch and other libraries' flows

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
DEMO := runs/demo

# One thread: two busy cores run a small model faster one thread a process, and results do not depend on them.
export OMP_NUM_THREADS ?= 1

.PHONY: demo test bench clean

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/zoo train biva_digits --out $(DEMO) --samples 1000 $(if $(wildcard $(DEMO)/config.json),--resume)

test: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/pytest -n 2

bench: $(VENV)/installed-dev
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python -m tests.benchmarks.single_pass
	$(BIN)/python -W ignore -m tests.benchmarks.flows_against_peers

clean:
	rm -rf $(VENV) build dist *.egg-info
