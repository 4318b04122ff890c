.DEFAULT_GOAL := help
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
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
	@$(BIN)/pytest tests/e2e/test_recovery.py -q -s --full-recovery $(ARGS)

docs: setup ## Write docs/reference again, from the code
	@$(BIN)/python -m docs.generate

test-wheel: setup ## Install the wheel into an empty environment and run the demo there
	@$(BIN)/pytest tests/stack/test_wheel.py -q --full-wheel $(ARGS)

$(VENV)/.installed: pyproject.toml
	@deploy/check-tools "$(PYTHON)"
	@echo "Making $(VENV) and installing the Python packages (about a minute) ..."
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,finance]'
	@touch $@

deploy/jars/.fetched: deploy/pom.xml | $(VENV)/.installed
	@$(BIN)/python -m switchyard.local.jars

clean: ## Stop the local stack and remove its data
	@test ! -x $(BIN)/switchyard || $(BIN)/switchyard down --clean --yes

.PHONY: help setup demo test test-recovery test-wheel docs clean
