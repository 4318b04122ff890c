.DEFAULT_GOAL := help
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate
APP ?= sdr
ARGS ?=

help: ## What there is to do
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: $(VENV)/.installed deploy/jars/.fetched ## Make .venv and fetch the jars (both only once)

demo: setup ## Run APP (default sdr) end to end on a local broker and Flink: make demo [APP=sdr] [ARGS="--exit"]
	@$(BIN)/switchyard demo $(APP) $(ARGS)

test: setup ## Pass every check: lint, types, tests, how much of the code they run
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@echo "Tests in two halves at once: those that share a local stack, and all others, whose output follows."
	@$(BIN)/python -m tests.run_parallel

test-recovery: setup ## Kill everything that can be killed while 200 workflows run (ARGS="--seed N" repeats a run)
	@$(BIN)/pytest tests/e2e/test_recovery.py tests/e2e/test_rename.py -q -s --full-recovery $(ARGS)

bench: setup ## Run every benchmark, about an hour: make bench [ARGS="--quick"]
	@$(BIN)/python -m benchmarks all $(ARGS)

docs: setup ## Write docs/reference again, from the code
	@$(BIN)/python -m docs.generate

test-wheel: setup ## Install the wheel into an empty environment and run the demo there
	@$(BIN)/pytest tests/stack/test_wheel.py -q --full-wheel $(ARGS)

lock: ## Write deploy/*.lock and deploy/jars.sha256 again (ARGS="--upgrade" takes newer releases)
	@test -x $(BIN)/uv || { echo "switchyard: run 'make setup' first; it installs uv, which writes the lock" >&2; exit 1; }
	@$(LOCK) pyproject.toml --extra dev --extra finance -o deploy/requirements.lock $(ARGS)
	@printf 'editables\nhatchling\nsetuptools\n' | $(LOCK) - -c deploy/requirements.lock -o deploy/requirements-build.lock
	@$(BIN)/python -m switchyard.local.jars --pin

audit: setup ## Look for known weaknesses in what is locked; asks a service on the internet
	@$(BIN)/uv tool run pip-audit@2.10.1 --disable-pip --requirement deploy/requirements.lock

$(VENV)/.installed: pyproject.toml deploy/requirements.lock deploy/requirements-build.lock
	@deploy/check-tools "$(PYTHON)"
	@echo "Making $(VENV) and installing the Python packages (about a minute) ..."
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@$(PIP) install --require-hashes --no-deps --requirement deploy/requirements-build.lock
	@$(PIP) install --require-hashes --no-deps --no-build-isolation --requirement deploy/requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(PIP) check
	@touch $@

deploy/jars/.fetched: deploy/pom.xml deploy/jars.sha256 | $(VENV)/.installed
	@$(BIN)/python -m switchyard.local.jars

clean: ## Stop the local stack and remove its data
	@test ! -x $(BIN)/switchyard || $(BIN)/switchyard down --clean --yes

.PHONY: help setup demo test test-recovery test-wheel bench docs lock audit clean
