# Each target installs what it needs into .venv first.
#   make train      trains English to German on a built-in phrasebook: minutes on a CPU
#   make test       runs the whole suite
#   make test-fast  runs the part of it that takes two minutes
#   make lint       checks layout and style
#   make mutants MODULES=transformer/model/attention.py MUTANTS=50   which small bugs the tests do not see
PYTHON ?= python3
MUTANTS ?= 0
VENV := .venv
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

PYTEST := $(VENV)/bin/python -m pytest -q --numprocesses=auto

.PHONY: train test test-fast lint mutants clean

train: $(VENV)/.installed
	$(VENV)/bin/python train.py --flagfile=configs/phrasebook_en_de.cfg

test: $(VENV)/.installed-test
	# In the order of tests/conftest.py.
	$(PYTEST) --dist=loadfile --no-loadscope-reorder

test-fast: $(VENV)/.installed-test
	$(PYTEST) --dist=worksteal -m "not slow"

lint: $(VENV)/.installed-test
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .

mutants: $(VENV)/.installed-dev
	$(VENV)/bin/python -m benchmarks mutants --modules=$(MODULES) --mutants=$(MUTANTS)

# A stamp that is newer than what it was made from says that nothing needs installing.
$(VENV)/.installed: setup.cfg constraints.txt | $(VENV)/bin/python
	$(PIP) --editable .
	touch $@

$(VENV)/.installed-test: setup.cfg constraints.txt | $(VENV)/bin/python
	$(PIP) --editable ".[test]"
	touch $@ $(VENV)/.installed

$(VENV)/.installed-dev: setup.cfg constraints.txt | $(VENV)/bin/python
	$(PIP) --editable ".[test,dev]"
	touch $@ $(VENV)/.installed $(VENV)/.installed-test

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
