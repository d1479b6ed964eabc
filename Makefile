VENV ?= .venv
PEERS ?= .venv-crosschecks
PYTHON ?= python3
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help bench test lint format fuzz benchmarks crosschecks clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

bench: $(VENV)/.installed  ## Every attack against every rule on the embedded digits (about a minute)
	$(BIN)/gradskew bench

test: $(VENV)/.installed-dev lint  ## Linters, then all tests
	$(BIN)/python -m pytest -n auto

lint: $(VENV)/.installed-dev  ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.installed-dev  ## Format the sources
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

fuzz: $(VENV)/.installed-dev  ## Hostile input to everything that reads, over 100,000 cases (a quarter of an hour)
	$(BIN)/python tests/fuzz.py

benchmarks: $(VENV)/.installed-dev  ## Measure the default bench against plain PyTorch
	$(BIN)/python benchmarks/bench.py

crosschecks: $(PEERS)/.installed  ## Compare with ByzFL and Flower, in a virtual environment of their own
	$(PEERS)/bin/python -m pytest -W ignore crosschecks

clean:  ## Remove the virtual environment and the default results
	rm -rf $(VENV) $(PEERS) gradskew-results

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --editable '.[dev]'
	@touch $@

$(PEERS)/.installed: crosschecks/requirements.txt pyproject.toml constraints.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]' $$(grep flwr $<)
	$(PEERS)/bin/python -m pip install --quiet --no-deps $$(grep byzfl $<)
	@touch $@
