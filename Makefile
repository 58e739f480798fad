# What can be done with this repository. `make` alone lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
OUT := demo-out
# Real pictures with masks, for the part of the study that is on them; left out where there are none.
REAL ?= $(wildcard ../shared/data)
PYTEST_FLAGS ?= -n 2
# As a shell of the user's would find it: the real commands, not a Python import.
LDZNET := $(BIN)/ldznet

# glibc gives freed memory back to the system at once and asks for it again at every step: kept, a training on a CPU
# takes about half the time. Other systems do not know these names.
KEEP_MEMORY := MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=20000000000 MALLOC_TOP_PAD_=268435456

.DEFAULT_GOAL := help
.PHONY: help demo test soak check format clean miniature paper

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The project's own virtual environment: made when missing, brought up to date when what it depends on has changed.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11, 3.12 or 3.13 is needed; say which: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY) ## The whole main job on sample_data: cache features, train, segment, evaluate
	rm -rf $(OUT)
	$(LDZNET) cache-features sample_data/images --gt sample_data/photos.json --negatives 2 --cache $(OUT)/cache
	$(LDZNET) train --gt sample_data/photos.json --cache $(OUT)/cache --net znet --steps 20 --out $(OUT)/znet
	$(LDZNET) train --gt sample_data/photos.json --cache $(OUT)/cache --net ldznet --steps 20 --out $(OUT)/ldznet
	$(LDZNET) segment --prompts-from sample_data/aigi.json --out $(OUT)/masks \
		| $(LDZNET) evaluate --gt sample_data/aigi.json | tee $(OUT)/table.txt
	@echo "Look at the pictures $(OUT)/masks/*/*.overlay.jpg and at the table $(OUT)/table.txt."

test: $(READY) ## Run the tests (never needs root; what this machine lacks is skipped with its reason)
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

soak: $(READY) ## Kill `ldznet cache-features` 50 times in mid-run: nothing may be lost or torn (minutes)
	KILLS=50 $(BIN)/python -m pytest tests/faults/test_kill.py -k real_command --timeout 7200

check: $(READY) ## Formatting, lint, strict types, the import contract, the README's generated blocks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/readme.py --check

format: $(READY) ## Format the code and rewrite the README's generated blocks
	$(BIN)/ruff check --fix --select I .
	$(BIN)/ruff format .
	$(BIN)/python .ci/readme.py

miniature: $(READY) ## Rebuild the bundled miniature world from its recipe (hours; resumable)
	$(KEEP_MEMORY) $(LDZNET) miniature build --work miniature-work --workers 2

paper: $(READY) ## Do what is missing of the paper's tables and figures in the miniature world (hours; resumable)
	$(KEEP_MEMORY) $(LDZNET) miniature paper --work miniature-work --workers 2 $(if $(REAL),--real $(REAL))

clean: ## Remove what the other targets made, the virtual environment too
	rm -rf $(VENV) $(OUT) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
