# `make` alone lists what there is. Everything sets itself up in .venv on first use.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
FIREBASE := tests/firebase/node_modules/.ready
# One lock file serves every platform and each Python from 3.11 on. Pins change only where a *.in file asks for it.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
    --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)
# What needs more than Python, Java and the emulator.
FURTHER := tests/app/test_node_app.py tests/app/test_node_snippets.py tests/auth tests/browser tests/deploy tests/rules

.DEFAULT_GOAL := help
.PHONY: help demo dev test test-all test-deploy firebase lint hooks lock soak screenshots emulator openapi audit
.PHONY: bench bench-growth bench-profile bench-year bench-simulate bench-stagger clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) emulator ## one simulated day on the emulator, self-checking (USERS=5000 DAYS=1; PAGE=1 leaves the monitor open)
	@$(BIN)/python -m dev.demo

dev: $(READY) emulator ## all of it beside your app at http://localhost:8080 (TICK=5 SAMPLES=30 ADOPT=0 …)
	@$(BIN)/python -m dev.serve

ifdef T
test: $(READY) emulator
	$(BIN)/python -m pytest $(T)
else
test: lint $(READY) emulator ## lint, types and the suite; T=tests/unit/test_plans.py runs that alone
	$(BIN)/python -m pytest -n auto $(FURTHER:%=--ignore=%)
endif

test-all: lint $(READY) emulator firebase ## … and what needs Node, Chromium, gcloud or shellcheck: what CI runs
	$(BIN)/python -m pytest -n auto --ignore=tests/deploy
	@$(MAKE) --no-print-directory test-deploy

test-deploy: $(READY) ## the deployment: the real gcloud against a fake of Google's APIs
	$(BIN)/python -m pytest -n auto --dist loadscope tests/deploy

emulator: $(READY) ## Java and the Firestore emulator, fetched if this machine has none
	@$(BIN)/python -m dev.emulator_install

firebase: $(FIREBASE) ## Firebase's own tools, for the tests of tokens, rules and a Node app (Node 20 or newer)

lint: $(READY) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

hooks: $(READY) ## have git run lint before each commit
	$(BIN)/pre-commit install

lock: $(READY) ## pin what the *.in files name in the requirements files (UPGRADE=1: newest versions)
	$(LOCK) requirements.in -o requirements.txt
	$(LOCK) deploy/requirements-tracing.in -c requirements.txt -o deploy/requirements-tracing.txt
	$(LOCK) requirements-dev.in -c deploy/requirements-tracing.txt -o requirements-dev.txt
	$(LOCK) dev/requirements-java.in -o dev/requirements-java.txt

soak: $(READY) emulator ## the model: random histories with crashes, for an hour (SOAK_SECONDS=3600)
	@$(BIN)/python -m tests.model.soak

openapi: $(READY) ## docs/openapi.json and docs/monitor.d.ts, made anew from the models of requests and answers
	@$(BIN)/python -m dev.openapi

audit: $(READY) ## known vulnerabilities in what is pinned: asks PyPI and npm, and says so where it can't
	@$(BIN)/python -m dev.audit

screenshots: $(READY) emulator ## the pictures of the monitor in docs, taken anew (needs Chromium)
	@$(BIN)/python -m dev.screenshots

bench: $(READY) emulator ## speed, cost and memory beside what people would use instead (QUICK=1 to try it out)
	@$(BIN)/python -m bench

bench-growth: $(READY) emulator ## cost and memory of 50,000 users beside 200,000
	@$(BIN)/python -m bench growth

bench-profile: $(READY) emulator ## where the time of builder and worker goes, by kind of call
	@$(BIN)/python -m bench profile

bench-year: $(READY) emulator ## a year of daily, weekly and monthly plans, every day of it
	@$(BIN)/python -m bench year

bench-simulate: $(READY) emulator ## 1, 10 and 100 million users, simulated
	@$(BIN)/python -m bench simulate

bench-stagger: $(READY) ## who comes before the refill, by hash and in quiet hours, on recorded activity
	@$(BIN)/python -m bench stagger

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) tests/firebase/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or newer is needed; PYTHON=python3.12 make … names another one." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	    { echo "Python's venv module is not complete (on Debian: apt-get install python3-venv)." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

$(FIREBASE): tests/firebase/package.json tests/firebase/package-lock.json
	@if ! node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || ! command -v npm >/dev/null; then \
	    echo "The tests of tokens, rules and a Node app need Node 20 or newer and npm (on Debian: nodejs and npm)." >&2; \
	    exit 1; \
	fi
	npm ci --prefix tests/firebase --no-audit --no-fund --ignore-scripts
	@touch $@
