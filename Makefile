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

.PHONY: help env layers demo docs test check lint types imports workflows unit integration end-to-end performance synth release-files audit \
	pictures bench lock release-snapshot local-up local-down clean

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

ifdef TESTS
test: env
	@$(IN_VENV) pytest $(TESTS)
else
test: unit integration end-to-end performance  ## Run every test, those on the local cloud too, or TESTS=...
endif

# Each is a hook of .pre-commit-config.yaml, too; a test compares the two.
check: lint types imports workflows unit  ## All of lint, types, imports, workflows and unit

lint: env  ## Lint and formatting, by ruff
	@$(IN_VENV) ruff check
	@$(IN_VENV) ruff format --check

types: env  ## Types, by mypy --strict
	@$(IN_VENV) mypy

imports: env  ## Who imports whom, by import-linter
	@$(IN_VENV) lint-imports

workflows: env  ## Lint the workflows, by actionlint, shellcheck and zizmor
	@$(IN_VENV) actionlint .github/workflows/*.yml
	@$(IN_VENV) zizmor --offline --quiet .github

unit: env  ## Unit tests and doctests
	@$(IN_VENV) pytest -n 2 tests/unit layers/core/python/credit_core products model_build cdk_app credit_cli docs_site

# They have a copy of this checkout, and so a local cloud of their own.
APART := tests/end_to_end/test_new_product.py tests/end_to_end/test_tutorial.py

integration: env  ## Tests of parts together: functions, stacks, contracts, the command, guides
	@$(IN_VENV) python -m layers.build --platform host
	@$(IN_VENV) pytest -n 2 --dist loadfile tests/contract tests/infrastructure tests/integration $(APART)

# Two local clouds, and the files of tests shared out between them: half of the time is waiting.
end-to-end: env  ## Tests on the local cloud and in a browser
	@$(IN_VENV) python -m layers.build --platform host
	@$(IN_VENV) pytest -n 2 --dist loadfile tests/end_to_end $(APART:%=--ignore=%)

performance: env  ## Tests that measure ratios, one at a time
	@$(IN_VENV) pytest tests/performance

STAGES ?= dev prod
PRODUCTS ?= personal_loan

synth: env  ## Synthesize dev and prod into .build/assembly, as workflows deploy them
	@rm -rf .build/assembly
	@$(IN_VENV) python -m layers.build --platform lambda
	@for stage in $(STAGES); do for product in $(PRODUCTS); do \
		$(IN_VENV) node_modules/.bin/cdk synth --quiet --no-notices --output .build/assembly/$$stage/$$product \
			--context stage=$$stage --context product=$$product || exit 1; \
		echo ".build/assembly/$$stage/$$product"; done; done

release-files: layers  ## Gather in .build/release what a release consists of
	@$(IN_VENV) python scripts/release_files.py .build/release

AUDIT := .build/audit/bin
LOCKS ?= $(wildcard requirements/*.txt layers/*/requirements.txt)

audit: env  ## Ask whether a locked version has a known vulnerability; needs the network
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .build/audit
	@$(BIN)/uv pip sync --quiet --require-hashes --python $(AUDIT)/python requirements/audit.txt
	@failed=0; for lock in $(LOCKS); do echo "$$lock"; \
		$(AUDIT)/pip-audit --strict --require-hashes --disable-pip --progress-spinner off \
			$(AUDIT_FLAGS) --requirement $$lock || failed=1; done; \
	for folder in . docs_site; do echo "$$folder/package-lock.json"; \
		$(IN_VENV) npm audit --prefix $$folder || failed=1; done; exit $$failed

docs: env  ## Build the site of the documents into .build/site
	@$(IN_VENV) python -m docs_site.build

pictures: env  ## Take the pictures of the README anew, of the desk after make demo
	@$(IN_VENV) python -m tests.end_to_end.pictures

bench: env  ## Measure what a decision costs, and write docs/benchmarks-decisions.md
	@$(IN_VENV) python -m benchmarks.decisions

lock: env  ## Lock the requirements anew; LOCK_FLAGS=--upgrade raises versions
	@for name in bootstrap dev cloud audit; do \
		$(LOCK) requirements/$$name.in --output-file requirements/$$name.txt || exit 1; done
	@# The layers take the developer's versions, so that what is tested is what runs.
	@for name in runtime training parquet; do \
		$(LOCK) --no-deps --constraints requirements/dev.txt layers/$$name/requirements.in \
			--output-file layers/$$name/requirements.txt || exit 1; done
	@$(IN_VENV) npm install --package-lock-only --silent
	@$(IN_VENV) npm install --package-lock-only --silent --prefix docs_site

release-snapshot: env  ## Write down what a release holds, for later ones not to replace it
	@$(IN_VENV) python -m tests.infrastructure.release

local-up: env  ## Start the local cloud and deploy to it
	@$(IN_VENV) credit local up

local-down:  ## Stop the local cloud and remove what it holds
	@test -x $(BIN)/credit || { echo "nothing to stop: there is no .venv"; exit 0; }; \
		$(IN_VENV) credit local down

clean:  ## Remove everything that make has created; stop the local cloud first
	rm -rf .venv .cloud-venv node_modules docs_site/node_modules .build .local* cdk.out \
		.mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
