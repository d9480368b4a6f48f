PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV_VERSION := 0.13.9
HOME_DIR ?= var
BIN := .venv/bin
FUZZ_SECONDS ?= 5
ROWS ?= 10000000
ROUNDS ?= 3
GROWTH ?= 1000000 50000000

.PHONY: run test fuzz check types lint setup airflow spark superset benchmark docs lock lock-spark lock-superset lock-benchmark

run: setup  ## Simulate labelled deliveries, run the whole way, print the attainment board
	$(BIN)/hfc simulate --out $(HOME_DIR)/landing
	$(BIN)/hfc run --home $(HOME_DIR)

test: setup  ## Install and run every test, the longest first: those of Airflow and from end to end
	$(MAKE) --no-print-directory --jobs 2 check spark
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --durations 20

fuzz: setup  ## Fuzz each reader for FUZZ_SECONDS (Linux)
	for form in text HTML JSON Parquet workbook sheet; do \
		$(BIN)/python tests/fuzz/readers.py $$form -max_total_time=$(FUZZ_SECONDS) -verbosity=0 || exit 1; done

check: types lint  ## Formatting, lint, types, import layers

types: setup
	$(BIN)/mypy

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/sqlfluff lint dbt_project
	$(BIN)/lint-imports

airflow: setup  ## Start Airflow with SQLite and LocalExecutor; prints URL and login
	HFC_HOME=$(HOME_DIR) $(BIN)/python -m hfc.airflow

spark: setup .spark/.installed  ## Install Spark for hfc run --target spark; it needs Java 17 or later

superset: setup .venv-superset/.installed  ## Install Superset, in an environment of its own

benchmark: setup .venv-others/.installed  ## The whole way of ROWS tax vouchers: ours, by hand, and by other tools
	$(BIN)/python -m benchmarks.whole $(ROWS) --rounds $(ROUNDS) --growth $(GROWTH)

docs: setup  ## Write the generated pages again: the feeds', the dictionary, the rules
	$(BIN)/python -m ingest.pages
	$(BIN)/python -m hfc.dictionary
	$(BIN)/python -m hfc.rules

setup: .venv/.installed  ## Install exactly what the lock names into .venv

.venv/.installed: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	command -v uv >/dev/null || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv==$(UV_VERSION)
	set -e; PATH="$$PATH:$(CURDIR)/$(BIN)"; \
	uv pip sync --quiet --python $(BIN)/python --require-hashes --no-build --compile-bytecode requirements.lock; \
	uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

# Spark has no wheel. Its folder is apart: Great Expectations would import it with every gate. What it needs besides is in
# the other lock, too, in the same versions.
.spark/.installed: requirements-spark.lock
	PATH="$$PATH:$(CURDIR)/$(BIN)"; \
	uv pip install --quiet --python $(BIN)/python --target .spark --require-hashes --no-deps --only-binary :all: \
		--no-binary pyspark --build-constraints $< --requirements $<
	touch $@

# Two packages have no wheels; what builds them stands in the lock, too.
.venv-superset/.installed: superset/requirements.lock
	test -x .venv-superset/bin/python || $(PYTHON) -m venv .venv-superset
	PATH="$$PATH:$(CURDIR)/$(BIN)"; \
	uv pip sync --quiet --python .venv-superset/bin/python --require-hashes --only-binary :all: \
		--no-binary odfpy --no-binary wtforms-json --build-constraints $< $<
	touch $@

# SQLMesh moves DuckDB back, so it has an environment of its own.
.venv-others/.installed: benchmarks/ways/dbt.lock benchmarks/ways/sqlmesh.lock
	set -e; PATH="$$PATH:$(CURDIR)/$(BIN)"; for name in dbt sqlmesh; do \
		test -x .venv-others/$$name/bin/python || $(PYTHON) -m venv .venv-others/$$name; \
		uv pip sync --quiet --python .venv-others/$$name/bin/python --require-hashes --no-build \
			--compile-bytecode benchmarks/ways/$$name.lock; done
	touch $@

lock:  ## Resolve again after a change of pyproject.toml
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--all-extras --no-build pyproject.toml --output-file requirements.lock

lock-spark: lock  ## Resolve again after a change of requirements-spark.in
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--no-binary pyspark --constraints requirements.lock requirements-spark.in --output-file requirements-spark.lock

# Later versions of what Superset 6.1 asks for without an upper bound do not work with it.
lock-superset:  ## Resolve Superset again after a change of superset/requirements.in
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--no-binary odfpy --no-binary wtforms-json --exclude-newer 2026-06-15 \
		superset/requirements.in --output-file superset/requirements.lock

lock-benchmark:  ## Resolve the benchmark's other tools again after a change of their .in files
	for name in dbt sqlmesh; do uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-build benchmarks/ways/$$name.in --output-file benchmarks/ways/$$name.lock || exit 1; done
