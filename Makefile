# The one place that knows the commands. A first run makes .venv; nothing is written outside the checkout.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
CMD ?=
ROUNDS ?=
PYTEST_ARGS ?=

PIP_INSTALL := $(BIN)/pip install -q --disable-pip-version-check --no-cache-dir
# the newer kinds of editable install hide plugins from Twisted
EDITABLE := --config-settings editable_mode=compat -e

RUFF := $(BIN)/ruff
RUFF_STYLE := --isolated --config 'line-length = 120'
RUFF_RULES := --select B,C4,E,F,I,ISC,PIE,PT,RET,RUF,SIM,UP,W --ignore RUF005,RUF012,SIM105,UP040 --target-version py310
PATHS := flom tests twisted

.PHONY: run test test-lan bench lint types check format clean

run: $(VENV)/installed  ## show commands that contend for one lock, or run CMD='...' under a lock
	@PATH="$(CURDIR)/$(BIN):$$PATH" docs/examples/contend.sh $(if $(CMD),sh -c '$(subst ','\'',$(CMD))')

test: lint types check  ## everything that CI runs

test-lan: $(VENV)/tested  ## only the tests on hosts of their own, with ROUNDS=... rounds of each race
	FLOM_LAN_ROUNDS=$(ROUNDS) $(BIN)/python -m pytest $(PYTEST_ARGS) tests/lan

bench: $(VENV)/tested  ## how long a snapshot of the daemon holds up grants
	$(BIN)/python -m tests.bench.snapshot

lint: $(VENV)/tested
	$(RUFF) check $(RUFF_STYLE) $(RUFF_RULES) $(PATHS)
	$(RUFF) format $(RUFF_STYLE) --check $(PATHS)

types: $(VENV)/tested
	$(BIN)/mypy

check: $(VENV)/tested
	$(BIN)/python -m pytest $(PYTEST_ARGS)

format: $(VENV)/tested  ## put the code into the shape that lint wants
	-$(RUFF) check $(RUFF_STYLE) $(RUFF_RULES) --fix --quiet $(PATHS)
	$(RUFF) format $(RUFF_STYLE) $(PATHS)

clean:
	rm -rf $(VENV) build *.egg-info twisted/plugins/dropin.cache

$(VENV)/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) 'pip>=22.1'  # the first that knows --config-settings
	$(PIP_INSTALL) $(EDITABLE) .
	touch $@

$(VENV)/tested: $(VENV)/installed
	$(PIP_INSTALL) $(EDITABLE) '.[test]'
	touch $@
