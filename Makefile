# The front door. Everything runs in a virtual environment of the project's own, made on first use.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
WORKERS ?= 2

.PHONY: help run test test-long lint .style .mypy .pyright .layers bench fuzz check-samples check-traces clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

$(BIN)/python:
	@echo "making the virtual environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade 'pip>=25.1'

$(VENV)/.run: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing agentrecord with its server"
	@$(PIP) install -c constraints.txt -e '.[server]'
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing what the tests need, a PostgreSQL server included"
	@$(PIP) install -c constraints.txt -e '.[all]' --group test
	@if ! command -v chromium >/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  echo "installing the browser that the tests drive"; \
	  apt-get update --quiet --quiet && apt-get install --quiet --quiet --yes chromium >/dev/null; fi
	@touch $@ $(VENV)/.run

# What comes with the plain package and with its server, without the package itself: tests lay its wheel beside them.
$(VENV)/.fresh: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing what the plain package and its server bring along, to count and try it"
	@for kind in plain server; do \
	  home=$(VENV)/fresh/$$kind; rm -rf $$home; \
	  $(BIN)/python -m venv --without-pip $$home && \
	  $(PIP) --python $$home/bin/python install -c constraints.txt ".$$([ $$kind = plain ] || echo [$$kind])" && \
	  $(PIP) --python $$home/bin/python uninstall --yes agentrecord || exit 1; done
	@touch $@

run: $(VENV)/.run ## serve the dashboard over your record, with a sample if it is empty
	@$(BIN)/agentrecord serve --sample $(ARGS)

lint: $(VENV)/.test ## style, types and import layers
	@$(MAKE) --no-print-directory --output-sync --jobs $(WORKERS) .pyright .mypy .style .layers

.style:
	@echo "ruff";         $(BIN)/ruff check --no-cache . && $(BIN)/ruff format --no-cache --check .

.mypy:
	@echo "mypy";         $(BIN)/mypy --no-error-summary --cache-dir $(VENV)/.mypy_cache

.pyright:
	@echo "basedpyright"; $(BIN)/basedpyright --level error | tail -n 5; test $${PIPESTATUS[0]} -eq 0

.layers:
	@echo "import layers"; $(BIN)/lint-imports --no-cache | tail -n 4; test $${PIPESTATUS[0]} -eq 0

test: lint $(VENV)/.fresh ## everything: lint, types, layers, and all tests with short counts
	@$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

test-long: $(VENV)/.test $(VENV)/.fresh ## the fault drills and loads at their full counts
	@AGENTRECORD_LONG=1 $(BIN)/python -m pytest -n $(WORKERS) -o faulthandler_timeout=1800 $(ARGS)

bench: $(VENV)/.test ## the figures of benchmarks/README.md, as ratios from one run
	@$(BIN)/python -m benchmarks $(ARGS)

SECONDS ?= 60
$(VENV)/.fuzz: $(VENV)/.test
	@echo "installing the fuzzer"
	@$(PIP) install atheris==3.0.0
	@touch $@

fuzz: $(VENV)/.fuzz ## throw made-up traces at what reads them: make fuzz SECONDS=60
	@$(BIN)/python tests/fuzz/otlp.py -max_total_time=$(SECONDS) -len_control=0 -max_len=4096 -timeout=10 -rss_limit_mb=4096 -print_final_stats=1

check-samples: $(VENV)/.run ## hold a folder of transcripts against expected figures: make check-samples DIR=…
	@test -n "$(DIR)" || { echo "name a folder: make check-samples DIR=path/to/transcripts [EXPECTED=figures.tsv]"; exit 2; }
	@$(BIN)/agentrecord check-samples $(DIR) $(if $(EXPECTED),--expected $(EXPECTED))

check-traces: $(VENV)/.test ## hold a folder of OpenTelemetry traces against expected figures: make check-traces DIR=…
	@test -n "$(DIR)" || { echo "name a folder: make check-traces DIR=path/to/traces"; exit 2; }
	@$(BIN)/python scripts/check_traces.py $(DIR)

clean: ## remove the virtual environment and what was built
	@rm -rf $(VENV) build dist .hypothesis .import_linter_cache .ruff_cache .mypy_cache
