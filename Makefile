# `make` alone lists what there is. Everything sets itself up in .venv on first use.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo dev test test-all deploy-test lint soak bench clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: $(READY) ## one simulated day on the emulator, self-checking (USERS=5000)
	@$(BIN)/python -m dev.demo

dev: $(READY) ## the functions and a ticking schedule at http://localhost:8080
	@$(BIN)/python -m dev.serve

test: lint $(READY) ## lint, types and the suite (Python and Java only)
	$(BIN)/python -m pytest -n auto --ignore=tests/deploy

test-all: test deploy-test ## what CI runs

deploy-test: $(READY) ## the deployment: the real gcloud against a fake of Google's APIs (needs gcloud, shellcheck)
	$(BIN)/python -m pytest -n 2 --dist loadscope tests/deploy

lint: $(READY) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

soak: $(READY) ## the model: random histories with crashes, for an hour (SOAK_SECONDS=3600)
	@$(BIN)/python -m tests.model.soak

bench: $(READY) ## speed and cost beside what people would use instead
	@$(BIN)/python -m bench

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): requirements.txt requirements-dev.txt deploy/requirements-tracing.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
