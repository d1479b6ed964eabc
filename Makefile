VENV ?= .venv
PEERS ?= .venv-crosschecks
WHEEL ?= .venv-wheel
CHROMIUM ?= chromium
PYTHON ?= python3
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Set, as in many containers, it keeps Python from storing compiled modules: each process would compile what it imports.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help bench worst test test-all test-ray test-rest lint format docs pictures benchmarks crosschecks chaos power fuzz wheel clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

bench: $(VENV)/.installed  ## Every attack against every rule on the embedded digits (about a minute)
	$(BIN)/gradskew bench

worst: $(VENV)/.installed  ## The worst found of the paper's rules on the digits, by all attacks that search (10 to 15 minutes)
	$(BIN)/gradskew bench --attacks none,worst --rules paper --seeds 3 --out gradskew-results/worst
	$(BIN)/gradskew report gradskew-results/worst --leaderboard gradskew-results/worst/leaderboard.md
	cat gradskew-results/worst/leaderboard.md

test: $(VENV)/.installed-dev lint  ## Linters, then the tests that start few processes (4 to 12 minutes on two cores)
	$(BIN)/python -m pytest -n auto --dist loadgroup -m "not processes and not ray and not release and not slow"

test-all: $(VENV)/.installed-dev  ## Linters and all tests, beside each other: those of Ray wait a lot
	$(MAKE) -j3 -O lint test-ray test-rest

test-ray: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m ray

test-rest: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto --dist loadgroup -m "not ray" --hypothesis-profile thorough

lint: $(VENV)/.installed-dev  ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.installed-dev  ## Format the sources
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.installed-dev  ## The documentation as a site, in site/; every warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

pictures: $(VENV)/.installed  ## The two pictures of a report in docs/, from a bench of five seeds (minutes; needs Chromium)
	$(BIN)/gradskew bench --seeds 5 --out gradskew-results/pictures
	cp gradskew-results/pictures/heatmap.png docs/heatmap.png
	$(CHROMIUM) --headless --no-sandbox --hide-scrollbars --window-size=1280,800 --screenshot=docs/report.png \
		file://$(CURDIR)/gradskew-results/pictures/report.html

fuzz: $(VENV)/.installed-dev  ## Hostile input to everything that reads, over 100,000 cases (15 to 35 minutes)
	PYTHONPATH=tests/support $(BIN)/python tests/endurance/fuzz.py

benchmarks: $(VENV)/.installed-dev  ## Measure the default bench against plain PyTorch
	$(BIN)/python benchmarks/bench.py

crosschecks: $(PEERS)/.installed  ## Compare with ByzFL, ByzPy and Flower, in a virtual environment of their own
	$(PEERS)/bin/python -m pytest -W ignore crosschecks

chaos: $(VENV)/.installed-dev  ## Kill sweeps 200 times; compare with undisturbed ones (a quarter of an hour)
	$(BIN)/python tests/endurance/chaos.py --kills 200

power: $(VENV)/.installed-dev  ## Cut the power of a disk 50 times, as root on Linux; go on from each cut (10 minutes)
	$(BIN)/python tests/endurance/power.py --cuts 25

wheel: $(VENV)/.installed-dev  ## Build dist/, and run a tiny bench with the wheel alone in a fresh environment
	rm -rf dist $(WHEEL)
	$(BIN)/python -m build
	$(PYTHON) -m venv $(WHEEL)
	$(WHEEL)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt dist/*.whl
	cd $(WHEEL) && bin/gradskew --version && bin/gradskew doctor
	cd $(WHEEL) && bin/gradskew bench --rounds 2 --attacks none,strike --rules mean,median

clean:  ## Remove the virtual environments, dist/, the site and the default results
	rm -rf $(VENV) $(PEERS) $(WHEEL) dist site gradskew-results

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --no-compile --editable '.[dev]'
	@touch $@

$(PEERS)/.installed: crosschecks/requirements.txt pyproject.toml constraints.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(PEERS)/bin/python -m pip install --quiet --no-deps --requirement $<
	@touch $@
