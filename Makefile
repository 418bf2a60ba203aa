PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
SOURCES := pyproject.toml constraints.txt

.PHONY: help demo test fuzz bench lint clean prior-row

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.run  ## install into .venv, downscale an example, say where the result and its picture are
	@mkdir -p demo
	@$(BIN)/python examples/make_coarse_example.py demo/psl_demo.nc
	@$(BIN)/zssd downscale demo/psl_demo.nc --vars msl,u10,v10 --region north-atlantic --members 2 \
		-o demo/downscaled.nc --plot demo/downscaled.png --overwrite
	@echo "Result:  $(CURDIR)/demo/downscaled.nc"
	@echo "Picture: $(CURDIR)/demo/downscaled.png"

test: $(VENV)/.test  ## install what the tests need into .venv and run them
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

fuzz: $(VENV)/.test  ## damaged files of every format, hours (ZSSD_FUZZ=100: so many of each; ARGS="yaml csv": these)
	@$(BIN)/python -m tests.fuzz $(ARGS)

bench: $(VENV)/.run  ## measure the engine beside other samplers, over an hour (ARGS=--quick: one minute); more in benchmarks/
	@$(BIN)/python benchmarks/posterior.py $(ARGS)

lint: $(VENV)/.lint  ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/mypy

clean:  ## remove .venv, caches and the demo's output
	rm -rf $(VENV) demo build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

prior-row: $(VENV)/.run  ## row of weights/registry.toml for FILE=weights/NAME.safetensors
	@$(BIN)/python -m zssd_cli.prior.registry "$(FILE)"

$(BIN)/python:
	@command -v $(PYTHON) > /dev/null || { echo "zssd needs Python 3.11 or later; got no $(PYTHON). Install it, or name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "zssd needs Python 3.11 or later; got $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment. Install its venv package (Debian: apt install python3-venv)"; exit 1; }

$(VENV)/.run: $(SOURCES) | $(BIN)/python
	@echo "Installing zssd into $(VENV) (a few minutes the first time) ..."
	@$(PIP) -e .
	@touch $@

$(VENV)/.test: $(SOURCES) | $(BIN)/python
	@echo "Installing zssd and its test tools into $(VENV) (a few minutes the first time) ..."
	@$(PIP) -e ".[test,grib]"
	@touch $@ $(VENV)/.run

$(VENV)/.lint: $(SOURCES) | $(BIN)/python
	@$(PIP) -e ".[test,grib,dev]"
	@touch $@ $(VENV)/.run $(VENV)/.test
