# Each target makes what it needs: a private environment in .venv with the project and its development tools.
# Needs Python 3.11 or newer and make; nothing is written outside this folder but pip's and uv's caches.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Named by what is in pyproject.toml: a change of dependencies or entry points installs again.
STAMP := $(VENV)/.installed-$(shell cksum < pyproject.toml | tr ' ' '-')
CODE := orchestrator plugins tests benchmarks examples

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types architecture tests bench bench-groups soak format clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /make \1\t/'

install: $(STAMP)  ## the private environment in .venv

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Preparing $(VENV) (a minute or two on a new machine)"
	@$(PYTHON) -m venv $(VENV) || { echo "On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --system-certs --compile-bytecode --python $(BIN)/python --editable '.[dev]' \
	  || { echo "uv could not; trying pip"; $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'; }
	@$(BIN)/python -m compileall -q orchestrator plugins  # Ray starts many processes: none should compile first
	@rm -f $(VENV)/.installed-*
	@touch $@

demo: $(STAMP)  ## start a server, run a real flow on it, show its result, stop the server
	@$(BIN)/python -m examples.demo

test: lint types architecture tests  ## everything that must hold: lint, types, architecture, unit, contract, integration

lint: $(STAMP)  ## ruff: faults and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy --strict
	$(BIN)/mypy --strict $(CODE)

architecture: $(STAMP)  ## which room imports which
	$(BIN)/pytest -q tests/test_architecture.py

# Tests that start Ray mostly wait: two files of them at a time. What measures runs alone.
tests: $(STAMP)  ## unit, contract and integration tests
	$(BIN)/pytest -q -n 6 --dist loadfile -m 'not ray and not alone and not long' --ignore tests/test_architecture.py tests
	$(BIN)/pytest -q -n 4 --dist loadfile -m 'ray and not alone and not long' tests
	$(BIN)/pytest -q -m alone tests

bench: $(STAMP)  ## measure a server beside bare Ray on this machine
	$(BIN)/python -m benchmarks.run

bench-groups: $(STAMP)  ## measure what worker groups promise
	$(BIN)/python -m benchmarks.worker_groups

soak: $(STAMP)  ## every failure of the table twenty times, every crash point, a thousand kills (about two hours, as root)
	$(BIN)/pytest -q -m long tests
	$(BIN)/python -m tests.soak.failures --record
	$(BIN)/python -m tests.soak.crash_points --backend docker --record
	$(BIN)/python -m tests.soak.crash_points --backend aws --record
	$(BIN)/python -m tests.soak.crash_points --backend gcp --record
	$(BIN)/python -m tests.soak.gcp_crashes --record
	$(BIN)/python -m tests.soak.docker_storm --record
	$(BIN)/python -m tests.soak.long_loops --record
	$(BIN)/python -m tests.soak.contract_in_full --record

format: $(STAMP)  ## let ruff mend and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the environment and what tools left
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
