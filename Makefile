# make demo   set up, then the main job on the embedded backbone and the built-in task
# make demo BACKBONE=smollm2  the same on SmolLM2, which is fetched once; takes far longer
# make test   set up, then the tests
# make browser  set up, then the tests of the pages in Chromium
# make lint   set up, then ruff and mypy
# make faults the long fault tests, make fuzz the fuzzer: figures of docs/reliability.md
# make bench  the speed benchmarks, each against a named peer: docs/performance.md
# make t5-shape  T5-large with random weights: what is planned against what it takes; wants 8 GB
# make oldest the tests with the oldest versions allowed, make audit known holes in those pinned
# Another interpreter: make demo PYTHON=/path/to/python3.11 (3.11 or newer)

PYTHON ?= python3
BACKBONE := tiny
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test slow browser lint format bench docs faults fuzz t5-shape oldest audit clean

# Exit code 2 of the first command: the model cannot be had here, and it has said why.
demo: $(READY)
ifeq ($(BACKBONE),tiny)
	$(BIN)/dawgen run demo --out runs/demo
else
	@$(BIN)/dawgen backbones get $(BACKBONE) > /dev/null; code=$$?; case $$code in \
	  0) set -- -s backbone.path=$(BACKBONE);; \
	  2) echo "$(BACKBONE) cannot be had: the demo runs on the embedded model (tiny) instead." >&2;; \
	  *) exit $$code;; \
	esac; \
	$(BIN)/dawgen run demo --out runs/demo "$$@"
endif

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

faults: $(READY)
	HF_HUB_OFFLINE=1 $(BIN)/python -m tests.faults.long

fuzz: $(READY)
	$(BIN)/python -m pip install --constraint constraints.txt --editable ".[fuzz]"
	$(BIN)/python -m tools.fuzz --seconds 180
	$(BIN)/python -m tests.faults.page

# The oldest versions that pyproject.toml allows, in an environment of their own.
oldest: $(READY)
	$(BIN)/python -m tools.oldest > .oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --constraint .oldest.txt --editable ".[dev]"
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 .venv-oldest/bin/python -m pytest --numprocesses auto

audit: $(READY)
	$(BIN)/python -m pip install "pip-audit>=2.9"
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip

# Wants quiet cores and 16 GB; about 45 minutes on two.
bench: $(READY)
	for name in tuning stack meta evaluation; do \
	  OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.$$name || exit 1; done
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.synthesis \
	  --out benchmarks/results/synthesis
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.causal --threads 2 \
	  --out benchmarks/results/causal.json
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.synthesis --models smollm2 \
	  --arms abc --threads 1 --repeats 3 --rows 96 --out benchmarks/results/writing
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.synthesis --models t5-small \
	  --arms abcde --threads 1 --repeats 3 --rows 96 --out benchmarks/results/writing-t5-small
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.scaling \
	  --out benchmarks/results/scaling.json
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[cluster]"
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.cluster
	$(BIN)/python -m benchmarks.page

# The paper's backbones without their weights: VOCABULARY=/path/to/spiece.model takes T5's own.
t5-shape: $(READY)
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.t5_shape $(if $(VOCABULARY),--vocabulary $(VOCABULARY))

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
	rm -rf $(VENV) .venv-oldest .oldest.txt .mypy_cache .ruff_cache .pytest_cache site dist
