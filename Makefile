# make demo   set up, then the main job on the embedded backbone and task
# make test   set up, then the tests
# make browser  set up, then the tests of the pages in Chromium
# make lint   set up, then ruff and mypy
# Another interpreter: make demo PYTHON=/path/to/python3.11 (3.11 or newer)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test slow browser lint format docs clean

demo: $(READY)
	$(BIN)/dawgen run demo --out runs/demo

# One process per core; each keeps to one thread, so they do not fight over the cores.
test: $(READY)
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m pytest --numprocesses auto

slow: $(READY)
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m slow

# The pages in a real browser: Chromium of the system (Debian: apt-get install chromium), or the one
# that CHROMIUM names.
browser: $(READY)
	$(BIN)/python -m pip install --constraint constraints.txt --editable ".[browser]"
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m browser tests/browser

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)
	$(BIN)/python -m pip install --constraint constraints.txt --editable ".[docs]"
	$(BIN)/python -m tools.make_docs --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Setting up is done once, and again when the dependencies change.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dawgen needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --constraint constraints.txt --editable ".[dev]"
	touch $(READY)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache site dist
