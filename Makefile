# Everything starts here. Only make and Python 3.13 are assumed; the rest is installed into this
# folder from hash-locked requirements by scripts/bootstrap.py.

.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin

# The CDK's library starts `node`: it has to find the one in .venv.
IN_VENV := PATH="$(CURDIR)/$(BIN):$$PATH"

# python3.13 if it starts, else python3: the bootstrap refuses one of another version in words.
PYTHON ?= $(shell for p in python3.13 python3; do \
	"$$p" -c '' >/dev/null 2>&1 && { echo "$$p"; break; }; done)

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.13 --generate-hashes \
	--no-emit-index-url --no-config --custom-compile-command 'make lock' $(LOCK_FLAGS)

.PHONY: help env layers demo test check bench lock release-snapshot local-up local-down clean

help:  ## Show this list
	@grep -hE '^[a-z-]+: .*## |^[a-z-]+:  ## ' $(MAKEFILE_LIST) | \
		sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{ printf "  make %-16s %s\n", $$1, $$2 }'

env:  ## Create or update .venv, .cloud-venv and node_modules
	@test -n "$(PYTHON)" || { \
		echo "error: no python3.13 on the PATH; install Python 3.13, or name it:" \
			"make env PYTHON=/path/to/python3.13" >&2; exit 1; }
	@"$(PYTHON)" scripts/bootstrap.py

layers: env  ## Build the Lambda layers for this machine and for Lambda
	@$(IN_VENV) python -m layers.build --platform host
	@$(IN_VENV) python -m layers.build --platform lambda

demo: env  ## From nothing to a decided application on the local cloud
	@$(IN_VENV) credit demo

test: env  ## Run every test, the end-to-end ones on the local cloud included
	@$(IN_VENV) pytest $(TESTS)

check: env  ## Lint, types, import contracts, unit tests and doctests
	@$(IN_VENV) ruff check
	@$(IN_VENV) ruff format --check
	@$(IN_VENV) mypy
	@$(IN_VENV) lint-imports
	@$(IN_VENV) pytest -n 2 tests/unit layers/core/python/credit_core products model_build cdk_app credit_cli

bench: env  ## Measure what a decision costs, and write docs/benchmarks-decisions.md
	@$(IN_VENV) python -m benchmarks.decisions

lock: env  ## Lock the requirements anew; LOCK_FLAGS=--upgrade raises versions
	@for name in bootstrap dev cloud; do \
		$(LOCK) requirements/$$name.in --output-file requirements/$$name.txt || exit 1; done
	@# The layers take the developer's versions, so that what is tested is what runs.
	@for name in runtime training parquet; do \
		$(LOCK) --no-deps --constraints requirements/dev.txt layers/$$name/requirements.in \
			--output-file layers/$$name/requirements.txt || exit 1; done
	@$(IN_VENV) npm install --package-lock-only --silent

release-snapshot: env  ## Write down what a release holds, for later ones not to replace it
	@$(IN_VENV) python -m tests.infrastructure.release

local-up: env  ## Start the local cloud and deploy to it
	@$(IN_VENV) credit local up

local-down:  ## Stop the local cloud and remove what it holds
	@test -x $(BIN)/credit || { echo "nothing to stop: there is no .venv"; exit 0; }; \
		$(IN_VENV) credit local down

clean:  ## Remove everything that make has created; stop the local cloud first
	rm -rf .venv .cloud-venv node_modules .build .local .local-enforcing cdk.out \
		.mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
