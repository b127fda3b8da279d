PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(wildcard src tests benchmarks)
# Where Python itself tells of lines that run, from 3.12 on, coverage costs next to nothing; else up to twice the time.
COVERAGE_CORE = $(shell $(BIN)/python -c 'import sys; print("sysmon" if hasattr(sys, "monitoring") else "ctrace")')
# Most tests wait most of the time. tests/conftest.py says which may run beside which.
PARALLEL := -n 3 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo check test lint format build audit bench soak simulate matrix lowest engines clean

help: ## Show what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

demo: $(VENV)/.demo ## Serve a chat to play with at localhost:8000 (PORT=...)
	@exec $(BIN)/chainlit-dynamodb demo --port $(PORT)

check: lint ## Check style, types and the unit tests, in seconds
	$(BIN)/pytest -q tests/unit

test: $(VENV)/.test engines lint ## Check and test everything, in minutes; COVERAGE=1 measures what the tests run
	$(if $(COVERAGE),COVERAGE_CORE=$(COVERAGE_CORE) )$(BIN)/pytest $(PARALLEL)$(if $(COVERAGE), --cov)

lint: $(VENV)/.test ## Check style and types
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy $(SOURCES)

format: $(VENV)/.test ## Put the code in order
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

build: $(VENV)/.release ## Build the wheel, the source distribution and a bill of materials into dist/
	rm -rf dist
	$(BIN)/python -m build
	@bash scripts/bill-of-materials.sh

audit: $(VENV)/.release ## Look for known holes in what this installs
	@bash scripts/audit.sh

bench: $(VENV)/.test engines ## Measure
	$(BIN)/python -m benchmarks

soak: $(VENV)/.test engines ## Two hundred sessions through two minutes of faults; SEED=... replays
	$(BIN)/python -m tests.soak $(if $(SEED),--seed $(SEED))

simulate: $(VENV)/.test ## Simulate thousands of schedules; SEEDS=0-1999 or MINUTES=5, or SEED=7 to read one
	$(BIN)/python -m chainlit_dynamodb.testing.simulation $(if $(SEED),--seed $(SEED),$(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEEDS),--seeds $(SEEDS),$(if $(MINUTES),,--seeds 0-1999)))

matrix: ## Test on every Python that is found; FULL=1 adds the contract tests
	@bash scripts/matrix.sh

lowest: ## Test with every dependency at its lowest version
	@bash scripts/lowest.sh

engines: $(VENV)/.test ## Fetch what the tests run on
	@bash scripts/install-system-packages.sh
	@$(BIN)/python -m chainlit_dynamodb.testing.dynamodb_local
	@$(BIN)/python -m chainlit_dynamodb.testing.azurite

clean: ## Remove all that was made, the demo's chats excepted
	rm -rf $(VENV) .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[local]'
	@touch $@

$(VENV)/.release: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --group release
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[all]' --group test
	@touch $@ $(VENV)/.demo
