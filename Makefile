# Set-up, tests and demo. Every target does the set-up it needs and is quick the second time.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
STORAGE ?= runs
DATA ?= data

.PHONY: setup demo test lint types imports unit faults clean

setup: $(STAMP)

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

$(STAMP): $(VENV)/bin/pip constraints.txt pyproject.toml
	$(BIN)/pip install --quiet -c constraints.txt "torch==2.13.0"
	$(BIN)/pip install --quiet -c constraints.txt -e ".[dev]"
	touch $(STAMP)

demo: setup
	$(BIN)/tadtune run kt_mgfn/demo_sweep kt_mgfn/demo_ablation --storage $(STORAGE) --data $(DATA)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

# a process for each core, none of which needs threads of its own
unit: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto tests/unit tests/contract

# needs root, network namespaces and PostgreSQL's programs; about a quarter of an hour
faults: setup
	$(BIN)/python tests/integration/fault_table.py --out docs/faults.md

# a process waits half of the time, for servers and Rays to start, so there are two; a file stays in one
test: lint types imports unit
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile tests/integration tests/gpu

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
