# Every target sets up what it needs in .venv: Python 3.10 or newer and a C++ compiler are enough.
PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
CSRC := $(shell find csrc -type f 2>/dev/null)
BUILD := $(wildcard build_support/*.py)
CXX_FILES := $(filter %.cpp %.h %.cu %.cuh,$(CSRC))
OPERATOR_TESTS := $(addprefix tests/ops/test_,additive_attention.py additive_score.py gru_cell.py lstm_cell.py \
	attention_decoder.py attention_decoder_step.py recurrent_sequence.py)
PROOFS := tests/nn tests/csrc tests/cuda_kernels tests/emulators tests/triton_kernels tests/examples tests/training \
	tests/benchmarks tests/test_demo.py tests/test_wheel.py

# The oldest pair (torch, triton) that is promised, with a numpy of its time, and the newest; setup.py says the range.
OLDEST := torch==2.11.0 triton==3.6.0 "numpy<2.4"
NEWEST := torch==2.14.1 numpy
VERSIONS := oldest newest
VERSION_TESTS := tests/ops tests/nn tests/csrc/test_cpu_capabilities.py

.PHONY: help setup demo test test-versions lint check prove bench docs wheel format clean

help:
	@echo "make demo    train, evaluate and look at a translator on a small generated corpus"
	@echo "make test    the test suite (under 10 minutes)"
	@echo "make check   lint, and the tests of what differs from BASE (default: HEAD), before a commit"
	@echo "make test-versions   operators, layers and kernels with the oldest and the newest torch and triton"
	@echo "make lint    ruff, mypy, clang-format"
	@echo "make prove   the long proofs: other numbers of threads, sanitizers, every form of the Triton kernels"
	@echo "make bench   a quick subset of the benchmarks (python -m benchmarks --help for all)"
	@echo "make docs    the pages of docs/ as a site in build/site"
	@echo "make wheel   one wheel for this platform in dist/: torch 2.11 and later, Python 3.10 and later"
	@echo "make setup   only set up $(VENV) and build the compiled parts"

$(VENV)/installed: setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or newer is needed; name one with: make PYTHON=python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing $(TORCH) and the packages for development into $(VENV): a few minutes."
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "$(TORCH)" "setuptools>=77" wheel ninja
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable ".[dev]"
	touch $@

$(VENV)/built: $(VENV)/installed $(CSRC) $(BUILD) seq2seq_fast/ops/schemas.py
	@echo "Building the compiled parts: a few minutes; each step is named as it is done."
	$(BIN)/python setup.py --quiet build_ext --inplace
	touch $@

setup: $(VENV)/built

demo: setup
	$(BIN)/seq2seq-fast demo

# Triton kernels are interpreted in a process of their own (tests/support/triton_modes.py).
test: setup
	$(BIN)/python -m pytest --quiet tests
	TRITON_INTERPRET=1 $(BIN)/python -m pytest --quiet tests/triton_kernels/interpreter

# Each pair in an environment of its own, reused while it is there. The compiled parts are those of $(VENV).
.venv-oldest/installed: PAIR = $(OLDEST)
.venv-newest/installed: PAIR = $(NEWEST)
$(VERSIONS:%=.venv-%/installed): Makefile | $(VENV)/installed
	test -x $(@D)/bin/python || $(BIN)/python -m venv $(@D)
	@echo "Installing $(PAIR) into $(@D): several gigabytes, about four minutes."
	$(@D)/bin/python -m pip install --quiet $(PAIR) pytest hypothesis ninja setuptools regex tqdm sentencepiece safetensors
	touch $@

$(VERSIONS:%=test-%): test-%: .venv-%/installed $(VENV)/built
	.venv-$*/bin/python -m pytest --quiet $(VERSION_TESTS)
	TRITON_INTERPRET=1 .venv-$*/bin/python -m pytest --quiet tests/triton_kernels/interpreter

test-versions: $(VERSIONS:%=test-%)

# The operators once more with more threads than most machines that test have cores, then the tests marked as proofs.
prove: setup
	OMP_NUM_THREADS=3 $(BIN)/python -m pytest --quiet $(OPERATOR_TESTS)
	$(BIN)/python -m pytest --quiet -m prove $(PROOFS)
	TRITON_INTERPRET=1 $(BIN)/python -m pytest --quiet -m prove tests/triton_kernels/interpreter

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(if $(CXX_FILES),$(BIN)/clang-format --dry-run -Werror $(CXX_FILES))

BASE ?= HEAD
check: lint
	@tests=$$($(BIN)/python -m build_support.changed $(BASE)); \
		if [ -z "$$tests" ]; then echo "Nothing with tests differs from $(BASE)."; \
		else echo "$$tests"; $(BIN)/python -m pytest --quiet $$tests; fi

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(if $(CXX_FILES),$(BIN)/clang-format -i $(CXX_FILES))

docs: setup
	$(BIN)/python -m build_support.site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# torch's own libraries are found where torch is installed; all else that the wheel needs is glibc's and libstdc++'s.
wheel: $(VENV)/installed
	rm -rf build/wheel
	$(BIN)/python -m pip wheel --quiet --no-build-isolation --no-deps --wheel-dir build/wheel .
	PATH="$(BIN):$$PATH" $(BIN)/auditwheel repair --exclude "libtorch*" --exclude "libc10*" --only-plat --wheel-dir dist build/wheel/*.whl

bench: setup
	$(BIN)/python -m benchmarks --quick

clean:
	rm -rf build seq2seq_fast/*.so $(VENV)
