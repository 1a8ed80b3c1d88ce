# The one place that knows the commands. A first run makes .venv; nothing is written outside the checkout.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
CMD ?=
BESIDE ?=
ROUNDS ?=
SECONDS ?= 60
MINUTES ?= 1
SEED ?=
BENCH ?=
PYTEST_ARGS ?=

PIP_INSTALL := $(BIN)/pip install -q --disable-pip-version-check --no-cache-dir
# the newer kinds of editable install hide plugins from Twisted
EDITABLE := --config-settings editable_mode=compat -e

RUFF := $(BIN)/ruff
RUFF_RULES := --config .ci/ruff.toml
PATHS := flom tests twisted

PROGRAM_TESTS := tests/run tests/contract
SCENARIO_TESTS := tests/scenarios
HOST_TESTS := tests/scenarios/lan tests/scenarios/quorum
LAN_TESTS := tests/scenarios/lan
# those that `check` runs as a part of their own, so that the others do not take longer than any other part
LATE_LAN_TESTS := $(wildcard tests/scenarios/lan/test_reclaim*.py tests/scenarios/lan/test_unlock*.py)

# with the oldest Twisted that setup.cfg allows, and what belongs to it: what touches Twisted, and what it is for
OLDEST := $(subst >=,==,$(shell sed -n 's/^ *\(\(Twisted\|pyOpenSSL\)>=.*\)/\1/p' setup.cfg)) cryptography==44.* \
	service-identity==24.2 pyasn1 pyasn1-modules
OLDEST_TESTS := tests/reactor tests/server tests/client/deferred tests/tls tests/test_tap.py \
	tests/scenarios/integration/test_daemon.py $(addprefix tests/scenarios/tls/,test_blocking.py test_certs.py test_sessions.py \
	test_web.py) --ignore tests/server/quorum --ignore tests/server/test_preload.py

.PHONY: run help test docs pictures test-lan test-late-lan test-quorum-hosts test-quorum test-programs test-scenarios \
	test-modules test-oldest share bench fuzz soak dist lint types check format clean

run: $(VENV)/installed  ## show commands that contend for one lock, or run CMD='...' under a lock
	@PATH="$(CURDIR)/$(BIN):$$PATH" docs/examples/contend.sh $(if $(value CMD),sh -c '$(subst ','\'',$(value CMD))')

help:  ## show what `make` can do
	@sed -n 's/^\([a-z-]*\):.*## */\1#/p' Makefile | while IFS='#' read -r target text; do \
		printf '%-18s %s\n' "$$target" "$$text"; done

# `dist` writes what the tests of packages write too, so it is done before they begin
test: lint dist  ## everything that CI runs
	@$(MAKE) --no-print-directory check BESIDE='types docs'

test-lan: $(VENV)/tested  ## only the tests on hosts of their own, with ROUNDS=... rounds of each race
	FLOM_LAN_ROUNDS=$(ROUNDS) $(BIN)/python -m pytest $(PYTEST_ARGS) $(LAN_TESTS)

test-quorum-hosts: $(VENV)/tested  ## only the tests on hosts with an etcd member each
	$(BIN)/python -m pytest $(PYTEST_ARGS) tests/scenarios/quorum

test-quorum: $(VENV)/tested  ## daemons under a quorum, while hosts are cut off, frozen and killed, for MINUTES=1, SEED=...
	FLOM_QUORUM_MINUTES=$(MINUTES) FLOM_QUORUM_SEED=$(SEED) $(BIN)/python -m pytest -s $(PYTEST_ARGS) \
		tests/scenarios/quorum/test_nemesis.py

share: $(VENV)/tested  ## write man pages, completion and parts of the reference anew, after options have changed
	$(BIN)/python -m tests.tools.manual

bench: $(VENV)/tested  ## how fast it is, beside bare Twisted: all, or BENCH='own --seconds 2'; BENCH='--vs DIR', FLOM_PEER=DIR
	$(BIN)/python -m tests.tools.bench $(BENCH)

fuzz: $(VENV)/tested  ## what no client should send, and daemons that are killed, for SECONDS=60, SEED=... repeats a run
	$(BIN)/python -m tests.tools.fuzz --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

soak: $(VENV)/tested  ## clients and daemons that are killed, connections that are reset, for MINUTES=1, SEED=...
	$(BIN)/python -m tests.tools.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

# pyroma wants an address for mail, which the project does not have; flom and flom-run are one script under two names,
# what man and the shells look for lies below flom/share too, and a plugin of Twisted lies in its folder
dist: $(VENV)/tested  ## sdist and wheel in dist/, checked as they are before an upload
	rm -rf dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null || date +%s) $(BIN)/python -m build --outdir dist . >/dev/null
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents --ignore W002 --toplevel flom,twisted dist/*.whl
	$(BIN)/pyroma --min 10 --skip-tests AuthorEmail dist/*.tar.gz

docs: $(VENV)/tested  ## the documentation as a site in build/docs, without a warning or a dead link
	$(BIN)/sphinx-build -W --keep-going -q -b html docs build/docs

pictures: $(VENV)/tested  ## take the pictures of docs/pictures anew, of a daemon that holds what they show
	$(BIN)/python -m tests.tools.pictures

lint: $(VENV)/tested  ## ruff: rules and shape of the code
	$(RUFF) check $(RUFF_RULES) $(PATHS)
	$(RUFF) format $(RUFF_RULES) --check $(PATHS)

types: $(VENV)/tested  ## mypy
	$(BIN)/mypy

# Tests of processes and of hosts mostly wait for each other, so the others need not wait for them. test-oldest comes
# first, because its installation must not meet the tests of packages; then the longest. BESIDE has what `test` adds.
check: $(VENV)/tested $(if $(PYTEST_ARGS),$(BESIDE))  ## all tests, or PYTEST_ARGS='tests/server -x'
ifneq ($(PYTEST_ARGS),)
	$(BIN)/python -m pytest $(PYTEST_ARGS)
else
	@echo 'parts of the tests run side by side, four at a time; each shows what it saw when it is done'
	@$(MAKE) --no-print-directory --jobs 4 --keep-going --output-sync=target \
		test-oldest test-scenarios test-lan test-modules test-late-lan test-programs $(BESIDE) test-quorum-hosts \
		LAN_TESTS='$(LAN_TESTS) $(addprefix --ignore ,$(LATE_LAN_TESTS))'
endif

test-late-lan: $(VENV)/tested  ## only the tests of reclaims between hosts
	@$(MAKE) --no-print-directory test-lan LAN_TESTS='$(LATE_LAN_TESTS)'

test-programs: $(VENV)/tested  ## only the tests of flom-run, and of what all programs that run commands have in common
	$(BIN)/python -m pytest $(PROGRAM_TESTS)

test-scenarios: $(VENV)/tested  ## only the tests in which programs and daemons meet on one host
	$(BIN)/python -m pytest $(SCENARIO_TESTS) $(addprefix --ignore ,$(HOST_TESTS))

test-modules: $(VENV)/tested  ## only the tests of modules
	$(BIN)/python -m pytest $(addprefix --ignore ,$(PROGRAM_TESTS) $(SCENARIO_TESTS))

test-oldest: $(VENV)/oldest/tested  ## only the tests that touch Twisted, on the oldest Twisted that will do
	$(VENV)/oldest/bin/python -m pytest $(PYTEST_ARGS) $(OLDEST_TESTS)

format: $(VENV)/tested  ## put the code into the shape that lint wants
	-$(RUFF) check $(RUFF_RULES) --fix --quiet $(PATHS)
	$(RUFF) format $(RUFF_RULES) $(PATHS)

clean:  ## remove all that was made here
	rm -rf $(VENV) build dist *.egg-info twisted/plugins/dropin.cache

$(VENV)/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) 'pip>=22.1'  # the first that knows --config-settings
	$(PIP_INSTALL) $(EDITABLE) .
	touch $@

$(VENV)/tested: $(VENV)/installed
	$(PIP_INSTALL) $(EDITABLE) '.[test]'
	touch $@

# it has that Twisted, and finds everything else in $(VENV)
$(VENV)/oldest/tested: $(VENV)/tested
	$(BIN)/python -m venv $(VENV)/oldest
	$(VENV)/oldest/bin/python -c 'import pathlib, site, sys; [here] = site.getsitepackages(); \
		pathlib.Path(here, "newer.pth").write_text(sys.argv[1])' \
		"$$($(BIN)/python -c 'import site; print(*site.getsitepackages())')"
	$(subst $(BIN),$(VENV)/oldest/bin,$(PIP_INSTALL)) --no-deps --ignore-installed $(OLDEST) $(EDITABLE) .
	touch $@
