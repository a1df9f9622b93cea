# `make help` lists the targets. Everything is installed into .venv by `make setup`, which the others call.
SHELL := /bin/bash
PYTHON ?= python3.11
PY := .venv/bin/python
PORT ?= 5000

.DEFAULT_GOAL := help
.PHONY: help setup demo test check ui clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 14

setup: .venv/.ready ## make .venv with everything the project needs

.venv/.ready: requirements.txt requirements-dev.txt constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found; install Python 3.11 or give PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	touch $@

demo: setup ## the main job: genre and composer, two conditions, five seeds, then the comparison
	$(PY) -m src.train -m dataset=genre,composer preprocess=unprocessed,normalized seed=0,1,2,3,4
	@echo
	@echo "Compare the runs in MLflow: make ui, then http://127.0.0.1:$(PORT)"

test: setup ## run the tests
	$(PY) -m pytest

check: setup ## lint, format and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

ui: setup ## open the MLflow UI on 127.0.0.1:$(PORT)
	MLFLOW_DISABLE_TELEMETRY=true .venv/bin/mlflow ui --host 127.0.0.1 --port $(PORT) \
	  --backend-store-uri sqlite:///$(CURDIR)/mlruns/mlflow.db

clean: ## remove caches (not data, not runs)
	rm -rf .mypy_cache .ruff_cache .pytest_cache data/.cache
