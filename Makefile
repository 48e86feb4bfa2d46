# make demo   a small BIVA trained briefly, evaluated and pictured (no network but for the install)
# make test   all laws, and the static checks
# make kernels  a part of the laws again, as on processors with less than this one
# make faults kills, damage, full disks and wrong inputs, counted (FAULTS="kills damage --share 0.1" for fewer)
# make bench  step times beside hand-written PyTorch and other libraries' flows
# make bench-gpu  training steps on a GPU: images/s, memory, arithmetic

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
DEMO := runs/demo
# Fewer steps than the experiment: a larger rate that decays to a fiftieth, and free bits only at the start.
BRIEF := --steps 1400 --set optimizer=adam --set learning_rate=8e-3 --set learning_rate_decay=0.9972 \
	--set free_bits_steps=300 --set ema=0.99

# One thread: two busy cores run a small model faster one thread a process, and results do not depend on them.
export OMP_NUM_THREADS ?= 1

.PHONY: demo test kernels faults bench bench-gpu clean

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/zoo train biva_digits $(BRIEF) --out $(DEMO) --samples 50 $(if $(wildcard $(DEMO)/config.json),--resume)
	@echo
	@echo "measured further    $(BIN)/zoo evaluate $(DEMO) --samples 1000"
	@echo "trained longer      $(BIN)/zoo sample biva_digits        # weights that come with the zoo"
	@echo "of MNIST            $(BIN)/zoo sample biva_mnist --out mnist.png"
	@echo "all such names      $(BIN)/zoo list | grep weights"

test: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/pytest -n 2

# Laws that compare two orders of one calculation: which kernels sum decides how they round.
KERNELS := tests/infer/test_stock_pyro.py tests/infer/test_importance.py tests/flows/test_contexts.py \
	tests/nn/causal/test_wavenet.py tests/nn/test_convolutional.py

kernels: $(VENV)/installed-dev
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 $(BIN)/pytest -n 2 $(KERNELS)
	ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 $(BIN)/pytest -n 2 $(KERNELS)

faults: $(VENV)/installed-dev
	$(BIN)/python -m tests.faults $(FAULTS)

bench: $(VENV)/installed-dev
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python -m tests.benchmarks.single_pass
	$(BIN)/python -W ignore -m tests.benchmarks.flows_against_peers

bench-gpu: $(VENV)/installed-dev
	$(BIN)/python -m tests.benchmarks.gpu

clean:
	rm -rf $(VENV) build dist *.egg-info
