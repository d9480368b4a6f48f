PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV_VERSION := 0.13.9
HOME_DIR ?= var
BIN := .venv/bin
FUZZ_SECONDS ?= 5

.PHONY: run test fuzz check setup airflow docs lock

run: setup  ## Simulate labelled deliveries, run the whole way, print the attainment board
	$(BIN)/hfc simulate --out $(HOME_DIR)/landing
	$(BIN)/hfc run --home $(HOME_DIR)

test: check  ## Install and run every test
	$(BIN)/python -m pytest -n auto --dist loadfile

fuzz: setup  ## Fuzz each reader for FUZZ_SECONDS (Linux)
	for form in text HTML JSON Parquet workbook sheet; do \
		$(BIN)/python tests/fuzz/readers.py $$form -max_total_time=$(FUZZ_SECONDS) -verbosity=0 || exit 1; done

check: setup  ## Formatting, lint, types, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/sqlfluff lint dbt_project
	$(BIN)/mypy
	$(BIN)/lint-imports

airflow: setup  ## Start Airflow with SQLite and LocalExecutor; prints URL and login
	HFC_HOME=$(HOME_DIR) $(BIN)/python -m hfc.airflow

docs: setup  ## Write the generated pages again: the feeds', after a change of a contract or an example, and the dictionary
	$(BIN)/python -m ingest.pages
	$(BIN)/python -m hfc.dictionary

setup: .venv/.installed  ## Install exactly what the lock names into .venv

.venv/.installed: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	command -v uv >/dev/null || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv==$(UV_VERSION)
	set -e; PATH="$$PATH:$(CURDIR)/$(BIN)"; \
	uv pip sync --quiet --python $(BIN)/python --require-hashes --no-build --compile-bytecode requirements.lock; \
	uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

lock:  ## Resolve again after a change of pyproject.toml
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--all-extras --no-build pyproject.toml --output-file requirements.lock
