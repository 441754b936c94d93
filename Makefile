.DEFAULT_GOAL := help
.PHONY: help demo setup test check docs reference format bench performance faults
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BENCH := build/bench/venv
CODE := agents bus protocol tests deploy

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

demo: $(INSTALLED) ## Take a Jira ticket through the whole team to an accepted database (ARGS="--broker memory …")
	$(BIN)/interlock demo $(ARGS)

setup: $(INSTALLED) ## Set up what the tests need: Python packages, RabbitMQ, PostgreSQL, Prometheus
	@deploy/install-rabbitmq.sh
	@deploy/install-postgresql.sh
	@deploy/install-prometheus.sh

test: setup ## Run all tests and measure their coverage (ARGS="-k name …")
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered --cov-fail-under=90 $(ARGS)

check: $(INSTALLED) ## Check format, lint, types, layers, schemas, deployment and docs; change nothing
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/interlock schemas check schemas --package interlock --recordings tests/recordings
	@deploy/check.sh $(BIN)
	@deploy/site/build.sh $(BIN)

docs: $(INSTALLED) ## Build the documentation as a site, into build/site
	@deploy/site/build.sh $(BIN)

reference: $(INSTALLED) ## Write what follows from the code: messages, settings, commands, errors, the first schema
	$(BIN)/interlock schemas export --package interlock --to schemas
	$(BIN)/interlock schemas docs --package interlock --to docs/messages.md
	PYTHONPATH=tests $(BIN)/python -m docs.settings_reference
	PYTHONPATH=tests $(BIN)/python -m docs.command_reference
	PYTHONPATH=tests $(BIN)/python -m docs.error_reference
	$(BIN)/python -m interlock.bus.store.schema.first

format: $(INSTALLED) ## Format the code and repair what the linter can
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

bench: setup $(BENCH)/.installed ## Measure Interlock beside its peers, in a quarter of an hour (ARGS="--quick", "--only PART", "--resume")
	PYTHONPATH=tests $(BENCH)/bin/python -m benchmarks.suite $(ARGS)

performance: $(INSTALLED) ## Write docs/performance.md and its plots from what make bench has measured
	PYTHONPATH=tests $(BIN)/python -m benchmarks.page

faults: setup ## Kill agents and the broker at work, 30 times, and look for losses and doubles (ARGS="--seed 7")
	$(BIN)/python tests/faults/kill_agents.py --kills 30 $(ARGS)

$(INSTALLED): requirements.lock pyproject.toml deploy/make-venv.sh
	@deploy/make-venv.sh $(VENV)
	@touch $@

$(BENCH)/.installed: requirements.lock tests/benchmarks/requirements.lock pyproject.toml deploy/make-venv.sh
	@deploy/make-venv.sh $(BENCH) tests/benchmarks/requirements.lock
	@touch $@
