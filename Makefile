# make tour | poc | test | lab | notebooks | results | clean. Each makes .venv and installs what it needs by itself, once.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
TOUR ?=
POC ?=

.PHONY: tour poc test lab notebooks results clean

tour: .venv/.installed
	$(BIN)/pocket tour $(TOUR)

poc: .venv/.installed
	$(BIN)/pocket poc $(POC)

lab: .venv/.installed
	$(if $(POCKET_DATA),POCKET_DATA=$(abspath $(POCKET_DATA))) $(BIN)/jupyter lab --ip=127.0.0.1 --notebook-dir=. notebooks/00_start_here.ipynb

test: .venv/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests
	POCKET_HOME=$$(mktemp -d) $(BIN)/python -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=300 --nbval-sanitize-with tests/nbval.cfg -p no:cacheprovider $$($(BIN)/python tests/compared_notebooks.py)

# Run the tour and put its outputs into the committed notebooks, the sample run and the README. Digits need no
# POCKET_DATA, and where that lies on one machine is nothing to publish. A run of an earlier time would be continued,
# and published with that time's commit and log: it begins anew.
notebooks: .venv/.installed
	rm -rf runs/refresh runs/refresh-own
	env -u POCKET_DATA $(BIN)/pocket tour --run refresh
	$(BIN)/python -m pocket.workflows.publish refresh

# Put the recorded results of pocket bench (data/results) into notebook 09 and the README.
results: .venv/.installed
	$(BIN)/python -m pocket.workflows.publish --results

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("pocket needs Python 3.11 to 3.13, and $(PYTHON) is " + sys.version.split()[0] + ": make PYTHON=python3.11") if not (3, 11) <= sys.version_info < (3, 14) else None'
	@echo 'Installing into .venv: about 5 minutes and 6 GB the first time'
	$(PYTHON) -m venv .venv
	$(PIP) -e '.[kit,dashboard]'
	touch $@

.venv/.installed-test: .venv/.installed
	@echo 'Installing what the tests need into .venv: a minute or two the first time'
	$(PIP) -e '.[test]'
	touch $@

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
