VENV ?= .venv
PEERS ?= .venv-crosschecks
PYTHON ?= python3
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help bench test lint format docs benchmarks crosschecks clean

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

docs: $(VENV)/.installed-dev  ## The documentation as a site, in site/; every warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

benchmarks: $(VENV)/.installed-dev  ## Measure the default bench against plain PyTorch
	$(BIN)/python benchmarks/bench.py

crosschecks: $(PEERS)/.installed  ## Compare with ByzFL and Flower, in a virtual environment of their own
	$(PEERS)/bin/python -m pytest -W ignore crosschecks

clean:  ## Remove the virtual environments, the default results and the site
	rm -rf $(VENV) $(PEERS) gradskew-results site

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
