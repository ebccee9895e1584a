# Everything a newcomer needs, with Python 3.11 or later and make. `make` alone says what there is.

SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
# Written after an installation; older than pyproject.toml means install again.
INSTALLED := $(VENV)/installed

# As many tests at a time as there are cores. "worksteal" leaves tests that follow each other to one process, so that
# what serves a whole module is started once or twice, and lets whoever has finished take over half of the rest.
# One at a time: `make test ARGS="-n 0"`.
PARALLEL := -n logical --dist worksteal

# Set one to choose, e.g. `make test PYTHON=python3.13`.
PYTHON ?=
CANDIDATES := python3 python3.11 python3.12 python3.13 python3.14 python

.PHONY: help
help: ## Say what there is
	@printf 'Usage: make TARGET\n\n'
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/\1\t\2/' \
		| while IFS=$$'\t' read -r target text; do printf '  %-8s %s\n' "$$target" "$$text"; done

.PHONY: demo
demo: $(INSTALLED) ## Send a study from a folder to a PACS on loopback and compare every byte; KEEP=1 leaves it running
	@$(BIN)/python -m gurney_daemon.demo $(if $(KEEP),--keep)

.PHONY: test
test: lint ## Check style, types and import rules, then run the tests; ARGS="-k name" narrows
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

.PHONY: lint
lint: $(INSTALLED) ## Check style, types and import rules only
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy docs/examples/*.py
	$(BIN)/lint-imports

.PHONY: format
format: $(INSTALLED) ## Format the code and mend what can be mended by itself
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

.PHONY: docs
docs: $(INSTALLED) ## Write the reference pages and the tables of the conformance statement from the code
	@$(BIN)/python docs/generate.py
	@$(BIN)/python docs/generate_conformance.py

.PHONY: bench
bench: $(INSTALLED) ## Measure speed against real peers and print the table; ARGS="--help" tells what can be chosen
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: matrix
matrix: $(INSTALLED) ## Ask every peer what it can be asked, and write docs/reference/peers.md
	$(BIN)/python -m pytest $(PARALLEL) -m "seen or lacks" --matrix docs/reference/peers.md

.PHONY: venv
venv: $(INSTALLED) ## Make .venv with Gurney and everything that development needs

.PHONY: clean
clean: ## Remove .venv, caches and build results
	rm -rf $(VENV) .make dist build demo-data .*_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml
	@python=$$(for candidate in $(or $(PYTHON),$(CANDIDATES)); do \
		if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
		then echo "$$candidate"; break; fi; done); \
	if [ -z "$$python" ]; then \
		echo "No Python 3.11 or later with its venv module among: $(or $(PYTHON),$(CANDIDATES))." >&2; \
		echo "On Debian and Ubuntu: apt-get install python3 python3-venv. Another one: make PYTHON=/path/to/python" >&2; \
		exit 1; fi; \
	echo "Installing into $(VENV) with $$("$$python" --version); this takes a minute the first time"; \
	"$$python" -m venv $(VENV) && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
