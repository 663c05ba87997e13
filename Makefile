# Everything below works on a fresh clone with nothing but Python 3.11 or newer and make;
# what is needed is installed into .venv first, from the hashed requirements files.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

# A caller's own environment must not reach into .venv, nor a package into it from outside.
unexport VIRTUAL_ENV CONDA_PREFIX PYTHONPATH PYTHONHOME PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT
# Containers like to set it; here hundreds of processes would each compile all that they import.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
UV := $(BIN)/uv
PYTEST := $(BIN)/python -m pytest
TEST_PROCESSES ?= 2
MINUTES ?= 3

COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-emit-find-links $(COMPILE_FLAGS)
INSTALL := $(UV) pip install --quiet --python $(BIN)/python --require-hashes

# The first of these that is 3.11 or newer and can make a virtual environment.
PYTHONS := $(strip $(PYTHON) python3) python3.14 python3.13 python3.12 python3.11
USABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))

##@ See it
.PHONY: demo demo-local bench bench-peers bench-scale
demo: $(BIN)/.runtime ## A judged batch over simulated models, from submit to signed webhook
	$(BIN)/overnight demo

demo-local: $(BIN)/.local ## The same with a real model that runs on this machine
	$(BIN)/overnight demo --local

bench: $(BIN)/.dev ## One line of JSON for each bar of performance
	$(BIN)/python -m tests.bench

bench-peers: $(BIN)/.dev ## The same prompts through us and through what one would take instead
	$(BIN)/python -m tests.bench.peers_main

bench-scale: $(BIN)/.dev ## What a call costs as calls, workers and accounts become more
	$(BIN)/python -m tests.bench.scale

##@ Work on it
.PHONY: .venv .venv-local test torture chaos check fix cases
.venv: $(BIN)/.dev ## Install all that is needed to work on the code
.venv-local: $(BIN)/.local ## Add the model that runs on this machine

test: $(BIN)/.dev $(BIN)/.local ## Every test: the small ones, then whole systems, two at a time
	$(PYTEST) -n $(TEST_PROCESSES) -m "not e2e and not torture"
	$(if $(wildcard tests/e2e/test_*.py),$(PYTEST) -n $(TEST_PROCESSES) --dist loadfile tests/e2e)

chaos: $(BIN)/.dev ## Kill and stop everything under load, then check the history (SEED=, MINUTES=)
	$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

torture: $(BIN)/.dev ## Longer tests, half an hour of them; with LONG=1 all, which takes hours
	$(PYTEST) -n $(TEST_PROCESSES) --maxschedchunk 1 $(if $(LONG),,-m "not long") tests/torture

check: $(BIN)/.dev ## Format, lint, types and import rules
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(BIN)/.dev ## Format, and mend what the linter can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

cases: $(BIN)/.dev ## Write into docs/reliability.md which test shows which case
	$(BIN)/python -m tests.architecture.cases

##@ Keep it
.PHONY: requirements clean help
requirements: $(BIN)/.bootstrap ## Compile the requirements (COMPILE_FLAGS=--upgrade for newer versions)
	$(COMPILE) pyproject.toml --output-file requirements.txt
	$(COMPILE) pyproject.toml --group dev --constraint requirements.txt --output-file requirements-dev.txt
	$(COMPILE) --no-deps --group local --output-file requirements-local.txt
	$(COMPILE) --group bootstrap --output-file requirements-bootstrap.txt

clean: ## Remove .venv and every cache
	rm -rf .venv .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find app workers api tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

help: ## This list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z.-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo

# Each layer of .venv leaves a stamp, and is done again when the file it was made from changes.
# One that was copied here from another place still points there, and is made anew.
MADE_IN := $(shell cat .venv/.made-in 2>/dev/null)
ifneq ($(MADE_IN),$(CURDIR))
.PHONY: $(BIN)/.bootstrap
endif

$(BIN)/.bootstrap: requirements-bootstrap.txt
	@$(BIN)/python -m pip -V >/dev/null 2>&1 && test "$(MADE_IN)" = "$(CURDIR)" || { \
	  for python in $(PYTHONS); do \
	    "$$python" -c '$(USABLE)' >/dev/null 2>&1 && exec "$$python" -m venv --clear .venv; \
	  done; \
	  echo "Overnight needs Python 3.11 or newer with venv (on Debian: apt install python3-venv)." >&2; \
	  echo "None of these is one: $(PYTHONS). Name yours: make PYTHON=/path/to/python3" >&2; \
	  exit 1; }
	@echo "$(CURDIR)" > .venv/.made-in
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(BIN)/.runtime: requirements.txt pyproject.toml $(BIN)/.bootstrap
	$(INSTALL) -r $<
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(BIN)/.dev: requirements-dev.txt $(BIN)/.runtime
	$(INSTALL) -r $<
	@touch $@

$(BIN)/.local: requirements-local.txt $(BIN)/.runtime
	$(INSTALL) --no-deps -r $<
	@touch $@
