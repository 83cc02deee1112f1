PYTHON ?= python3
VENV ?= .venv
WORKDIR ?= runs/quickstart
VERSION_OF = -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
VERSION := $(shell $(PYTHON) $(VERSION_OF))
OLDEST := $(shell sed -n 's/^requires-python = ">=\(.*\)"/\1/p' pyproject.toml)
# The tests to run: all tests, or the files that TESTS="..." names.
TESTS := tests
# The number of tests that run at the same time. Each test needs up to 5 GB of memory.
WORKERS ?= 2
INSTALLED := $(VENV)/installed-$(VERSION)
OTHER_PYTHON = give another interpreter, e.g. make PYTHON=python3.12

.PHONY: train test test-slow test-all lint setup clean

# Trains the quickstart: drawn facades and a small U-Net, a few minutes on two CPU cores.
train: setup
	$(VENV)/bin/python -m pix2pix_jax train --config=experiments/quickstart.py --workdir=$(WORKDIR)

test: setup
	$(VENV)/bin/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal -m "not slow" $(TESTS)

test-slow: setup
	$(VENV)/bin/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal -m slow

# Runs fast and slow tests together, so that they make the fixtures that they share only once.
test-all: setup
	$(VENV)/bin/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal

lint: setup
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python

# With PYTHON=python3.12, make builds the environment again, for another interpreter.
setup: $(INSTALLED)

# If the interpreter of the environment was removed or replaced, make builds the environment again.
ifneq ($(shell $(VENV)/bin/python $(VERSION_OF)),$(VERSION))
.PHONY: $(INSTALLED)
endif

$(INSTALLED): requirements.txt pyproject.toml
	@test -n "$(VERSION)" || { echo "PYTHON: cannot run $(PYTHON); $(OTHER_PYTHON)"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(list(sys.version_info[:3]) < [int(n) for n in "$(OLDEST)".split(".")])' || \
		{ echo "PYTHON: $(PYTHON) is $$($(PYTHON) --version 2>&1), but pix2pix_jax needs $(OLDEST) or newer; $(OTHER_PYTHON)"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "PYTHON: $(PYTHON) cannot make virtual environments; install its module venv, e.g. apt install python$(VERSION)-venv"; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

clean:
	rm -rf $(VENV)
