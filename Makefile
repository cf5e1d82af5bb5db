# The first two commands: `make demo` and `make test`. Each makes the environment when it is missing or out of date.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -q -c constraints.txt
DEMO := runs/demo

.PHONY: demo test test-slow soak check format bench-train cold-start small clean help

help: ## Show the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: .venv/train.stamp ## Train on handwritten digits, evaluate, classify held-out images: under a minute.
	$(BIN)/effnet train digits --out $(DEMO) --overwrite
	$(BIN)/effnet evaluate $(DEMO)/model.safetensors digits
	$(BIN)/effnet predict $(DEMO)/model.safetensors $(DEMO)/examples --top 3
	@echo "Look at $(DEMO)/curves.png, $(DEMO)/confusion.png and $(DEMO)/examples.png."

test: check ## Format, lint, types, tests: what CI runs.
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile -m "not slow"

test-slow: .venv/dev.stamp ## The tests that take longer.
	$(BIN)/pytest -m slow

soak: .venv/dev.stamp ## Hurt a training for 20 minutes; it must end in the same bits.
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/soak_training.py --minutes 20

check: .venv/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/dev.stamp ## Format the code and sort the imports.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench-train: .venv/dev.stamp ## Our training step of b0-cifar beside timm's best here: a minute, the first time some more.
	$(BIN)/python benchmarks/bench_train.py

cold-start: .venv/train.stamp ## Seconds from typing `effnet train digits` to its first step, and what they are spent on.
	$(BIN)/python benchmarks/cold_start.py

small: .venv/train.stamp ## Put a trained network into the package as cifar10-small: MODEL= DATA= TRAINED_BY= MACHINE= [NOTE=].
	$(BIN)/python benchmarks/ship_small.py $(MODEL) $(DATA) --trained-by '$(TRAINED_BY)' --machine '$(MACHINE)' $(if $(NOTE),--note '$(NOTE)')

clean: ## Remove the environment and caches; runs/ stays.
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

.venv/train.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) -e '.[train]'
	touch $@

.venv/dev.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) -e '.[dev]'
	touch .venv/train.stamp $@
