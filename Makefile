# Everything runs inside .venv, which the first target that needs it creates.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
BENCH_STAMP := .venv/.installed-benchmarks
WORKFLOW_STAMP := .venv/.installed-workflow
DOCS_STAMP := .venv/.installed-docs

# Tests in as many processes as there are cores, at most four, a file in one of them: its fixtures are made once.
IN_PARALLEL := --numprocesses auto --maxprocesses 4 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help install demo test slow gpu bench workflow docs lint types contract clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/make \1\t\2/' | expand -t 16

# A changed pin or dependency reinstalls; otherwise the stamp says that nothing is to do.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	touch $@

$(BENCH_STAMP): $(STAMP)
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev,benchmarks]'
	touch $@

$(WORKFLOW_STAMP): $(STAMP)
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev,workflow]'
	touch $@

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev,docs]'
	touch $@

install: $(STAMP)  ## create .venv with the pinned packages

demo: $(STAMP)  ## damage six phantom hearts, repair them in three stages, print the scores and write a report, into demo/
	$(BIN)/corfield demo --output demo

test: $(STAMP)  ## the fast tests
	$(BIN)/python -m pytest $(IN_PARALLEL)

slow: $(STAMP)  ## the tests that train or run whole bundles
	$(BIN)/python -m pytest $(IN_PARALLEL) -m 'slow and not gpu' --ignore tests/workflow

gpu: $(STAMP)  ## the tests that need a CUDA device
	$(BIN)/python -m pytest -m gpu

bench: $(BENCH_STAMP)  ## install the peers of the benchmarks and test their wrappers
	$(BIN)/python -m pytest tests/benchmarks

workflow: $(WORKFLOW_STAMP)  ## install snakemake and test the workflow for clusters
	CORFIELD_REQUIRE_SNAKEMAKE=1 $(BIN)/python -m pytest -m 'slow or not slow' tests/workflow

docs: $(DOCS_STAMP)  ## the site of the documents, into site/; a warning fails (Python 3.11.5 or newer)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --clean

lint: $(STAMP)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy on custom/
	$(BIN)/mypy

contract: $(STAMP)  ## who may import whom
	$(BIN)/lint-imports

clean:  ## remove what the targets above made
	rm -rf .venv demo site build dist corfield.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
