# `make` alone lists what there is. Everything sets itself up in .venv on first use.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo dev test test-all lint soak bench bench-growth bench-year bench-idle bench-simulate clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: $(READY) ## one simulated day on the emulator, self-checking (USERS=5000)
	@$(BIN)/python -m dev.demo

dev: $(READY) ## the functions and a ticking schedule at http://localhost:8080
	@$(BIN)/python -m dev.serve

test: lint $(READY) ## lint, types and the suite (Python and Java only)
	$(BIN)/python -m pytest -n auto

test-all: test ## what CI runs

lint: $(READY) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

soak: $(READY) ## the model: random histories with crashes, for an hour (SOAK_SECONDS=3600)
	@$(BIN)/python -m tests.model.soak

bench: $(READY) ## speed, cost and memory beside what people would use instead (QUICK=1 to try it out)
	@$(BIN)/python -m bench

bench-growth: $(READY) ## cost and memory of 50,000 users beside 200,000
	@$(BIN)/python -m bench.growth

bench-year: $(READY) ## a year of daily, weekly and monthly plans, every day of it
	@$(BIN)/python -m bench.year

bench-idle: $(READY) ## what idle users would save if they were not stamped
	@$(BIN)/python -m bench.idle

bench-simulate: $(READY) ## 1, 10 and 100 million users, simulated
	@$(BIN)/python -m bench.simulate

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): requirements.txt requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
