# Everything a newcomer needs: `make run` and `make test` set themselves up.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
# Compiled samplers are kept here between runs.
export PYTENSOR_FLAGS ?= base_compiledir=$(CURDIR)/.cache/pytensor

.PHONY: help setup run test test-slow test-browser lint docs benchmarks

help:  ## What each target does
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

setup: $(STAMP)  ## Make .venv with everything installed (once)

run: $(STAMP)  ## The main job: configs/internet-alliance.yaml to outputs/internet-alliance/
	$(BIN)/metarho run configs/internet-alliance.yaml

# A file of tests is one worker's, so that what its tests share is made once; a worker has a
# processor of its own, which linear algebra in threads would take from the other.
test: $(STAMP)  ## The fast tests, on all processors
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test-slow: $(STAMP)  ## Long simulations (many minutes)
	$(BIN)/python -m pytest -m "slow or hostile" --hypothesis-profile thorough -o log_cli=true --log-cli-level=INFO

test-browser: $(STAMP)  ## Whole reports in Chromium (needs chromium and chromedriver; two minutes)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -m browser tests/browser

lint: $(STAMP)  ## Style and types
	$(BIN)/ruff format --no-cache --check .
	$(BIN)/ruff check --no-cache .
	$(BIN)/mypy

# A warning is a broken link, an unreadable docstring or a page in no list: all are errors.
# All pages are written anew: a list beside a page would keep titles that have changed.
docs: $(STAMP)  ## The documentation as HTML: docs/_build/index.html
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --fresh-env --write-all -b html -d .cache/doctrees docs docs/_build

benchmarks: $(STAMP)  ## What the performance claims rest on
	$(BIN)/python benchmarks/command_line.py
	$(BIN)/python benchmarks/exact.py
	$(BIN)/python benchmarks/sensitivity.py
	$(BIN)/python benchmarks/store.py
	$(BIN)/python benchmarks/assurance.py
	$(BIN)/python benchmarks/checks.py
	$(BIN)/python benchmarks/ensemble.py
	$(BIN)/python benchmarks/nuts.py

# Every candidate is run, not only found: a name on the PATH may be a shim that fails.
$(STAMP): pyproject.toml constraints.txt
	@found=; tried=; \
	for python in "$$PYTHON" python3.13 python3.12 python3 \
	    $$(ls -d "$$HOME"/.pyenv/versions/3.1[2-9]*/bin/python 2>/dev/null | sort -rV); do \
	  [ -n "$$python" ] || continue; \
	  tried="$$tried $$python"; \
	  if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' \
	      >/dev/null 2>&1; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ] && command -v uv >/dev/null 2>&1; then \
	  found=$$(uv python find '>=3.12' 2>/dev/null) || found=; \
	fi; \
	if [ -z "$$found" ]; then \
	  echo "metarho needs Python 3.12 or newer with venv, and found none (tried:$$tried)."; \
	  echo "Install Python 3.13 (on Debian and Ubuntu also its python3-venv package), or name"; \
	  echo "one that you have: make PYTHON=/path/to/python3.13 $(or $(firstword $(MAKECMDGOALS)),setup)"; \
	  exit 1; \
	fi; \
	echo "set-up: $$("$$found" -V) ($$found) into $(VENV)"; \
	if $(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 12))' \
	    >/dev/null 2>&1; then \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	      -c constraints.txt -e '.[dev]'; \
	elif rm -rf $(VENV) && command -v uv >/dev/null 2>&1 \
	    && UV_PYTHON_DOWNLOADS=never uv venv --quiet --seed --python "$$found" $(VENV); then \
	  uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]'; \
	else \
	  "$$found" -m venv $(VENV) \
	    && $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	        -c constraints.txt -e '.[dev]'; \
	fi && touch $@ && echo "set-up: done"
