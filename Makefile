PYTHON ?= python3
VENV ?= .venv
WORKDIR ?= runs/quickstart
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
# All of them, or some files.
TESTS := tests
# Tests at a time: more would not fit the memory of a small machine.
TWO := --numprocesses=2
INSTALLED := $(VENV)/installed-$(VERSION)

.PHONY: train test test-slow test-all lint setup clean

# The quickstart: drawn facades, a small U-Net, a few minutes on two CPU cores.
train: setup
	$(VENV)/bin/python -m pix2pix_jax train --config=experiments/quickstart.py --workdir=$(WORKDIR)

test: setup
	$(VENV)/bin/python -m pytest $(TWO) --dist=loadfile -m "not slow" $(TESTS)

test-slow: setup
	$(VENV)/bin/python -m pytest $(TWO) --dist=worksteal -m slow

# Both; what they need is made once.
test-all: setup
	$(VENV)/bin/python -m pytest $(TWO) --dist=worksteal

lint: setup
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check

# PYTHON=python3.12 picks another interpreter, and makes the environment anew.
setup: $(INSTALLED)

$(INSTALLED): requirements.txt pyproject.toml
	@test -n "$(VERSION)" || { echo "PYTHON: cannot run $(PYTHON); give PYTHON=python3.12, say"; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

clean:
	rm -rf $(VENV)
