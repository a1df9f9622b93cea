# `make help` lists the targets. Everything is installed into .venv, by `make setup` and, for tests, with the extra `dev`.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
PY := .venv/bin/python
PORT ?= 5000
BACKEND ?= sqlite:///$(CURDIR)/mlruns/server/mlflow.db

.DEFAULT_GOAL := help
REPORTS := table1 table2 table3 table4 followup claims controls variance compare \
  figure1 figure2 figure3 figure4 figure5 figure6 figure7
DATASETS := genre,short_genre,instrument,vocalist,composer,ballroom,nsynth_family,nsynth_instrument,nsynth_organ,timing_timbre

.PHONY: help setup demo data paper paper-runs $(REPORTS) test soak mutants check map bench bench-scale ui server clean

help: ## list the targets
	@grep -hE '^([a-z0-9-]+|\$$\(REPORTS\)):.*## ' $(MAKEFILE_LIST) | sed -E 's/^([^:]+):.*## /\1\t/; s/^\$$\(REPORTS\)/table1.../' | expand -t 14

setup: .venv/.ready ## make .venv with what running needs

.venv/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "$(PYTHON): Python 3.11 is needed; install it or give PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -e . -c constraints.txt
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps musicnn==0.1.0  # weights only: it would want TensorFlow
	touch $@

.venv/.dev: .venv/.ready
	.venv/bin/pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	touch $@

demo: setup ## the main job: genre and composer, two conditions, five seeds, then the comparison
	$(PY) -m src.train -m dataset=genre,composer preprocess=unprocessed,normalized seed=0,1,2,3,4
	@echo
	@echo "Compare the runs in MLflow: make ui, then http://127.0.0.1:$(PORT)"

data: setup ## every dataset of the paper, 60 clips a class where it must be rendered
	$(PY) -m src.prepare -m dataset=$(DATASETS)

paper-runs: setup ## run what the paper's tables lack (hours; nothing finished is repeated)
	$(PY) -m src.report name=paper action=run

paper: setup ## the paper's tables and figures from the runs there are: reports/paper.html
	$(PY) -m src.report name=paper

$(REPORTS): setup ## one of them, e.g. make table2
	$(PY) -m src.report name=$@

test: .venv/.dev ## run the tests, two at a time
	$(PY) -m pytest -m "not slow" -n 2 --dist loadfile

soak: .venv/.dev ## the long tests as well: kills, races, restarts
	$(PY) -m pytest

mutants: .venv/.dev ## apply small wrong changes to the code, one at a time: do the tests notice? (an hour)
	$(PY) tests/mutants.py

check: .venv/.dev ## lint, format and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

map: setup ## draw the rooms of src/ and their imports: docs/rooms.png
	$(PY) docs/map.py

bench: .venv/.dev ## measure every promise of speed beside its alternative: reports/bench.md (a quarter of an hour, idle machine)
	$(PY) -m benchmarks.bench

bench-scale: .venv/.dev ## cost against clips, seeds and workers: reports/bench-scale.png (SIZE=quick: a minute)
	$(PY) -m benchmarks.scale $(SIZE)

ui: setup ## open the MLflow UI on 127.0.0.1 (PORT=5000)
	$(PY) -m src.sweep.ui port=$(PORT)

server: setup ## a tracking server on 127.0.0.1 (PORT=5000 BACKEND=any database of SQLAlchemy)
	mkdir -p mlruns/server
	MLFLOW_DISABLE_TELEMETRY=true .venv/bin/mlflow server --host 127.0.0.1 --port $(PORT) \
	  --backend-store-uri '$(BACKEND)' --artifacts-destination '$(CURDIR)/mlruns/server/artifacts'

clean: ## remove caches (not data, not runs)
	rm -rf .mypy_cache .ruff_cache .pytest_cache data/.cache
