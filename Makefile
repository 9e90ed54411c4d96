# Andon Gateway: `make help` lists what there is. Every target sets up what it needs by itself, in .venv and .make.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3
PIP := .venv/bin/python -m pip install --quiet --disable-pip-version-check --root-user-action=ignore
PYTEST := .venv/bin/python -m pytest
# What the tests need from Debian; `make test DEBIAN=` if you have it all from elsewhere.
DEBIAN ?= mosquitto chromium fonts-noto-cjk postgresql gcc libc6-dev libmodbus-dev pkgconf systemd

# Stamps are keyed on contents: switching branches back and forth or deleting a file is seen, touching one is not.
digest = $(shell find $(1) \( -name node_modules -o -path agent/ui/web/test -o -name '*.timestamp-*' \) -prune \
  -o -type f -print0 2>/dev/null | LC_ALL=C sort -z | xargs -0r sha256sum | sha256sum | cut -c1-16)
PAGE := $(wildcard agent/ui/web hatch_build.py agent/texts/*.json)
APP := .make/app-$(call digest,pyproject.toml $(PAGE))
DEV := .make/dev-$(call digest,pyproject.toml)
NODE_MODULES := agent/ui/web/node_modules/.package-lock.json
ifeq ($(wildcard agent/ui/static/index.html),)
$(shell rm -f .make/app-*)
endif

.PHONY: help demo test unit check fix bench rig soak clean distclean debian format lint types layers web-types web-test

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(APP)  ## a simulated line, edge, relay and a Feishu stand-in; Ctrl-C ends it (ARGS="…" are passed on)
	@exec .venv/bin/andon demo $(ARGS)

test: debian $(DEV) $(NODE_MODULES) web-test  ## everything: page, unit, integration, e2e (ARGS="-k name" are passed to pytest)
	$(PYTEST) $(ARGS)

unit: $(DEV)  ## the unit tests alone, in seconds
	$(PYTEST) tests/unit $(ARGS)

check: $(DEV) $(NODE_MODULES)  ## format, lint, types, layers, the page's types
	@$(MAKE) --keep-going format lint types layers web-types

fix: $(DEV)  ## format, and mend what the linter can mend
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

bench: debian $(DEV)  ## print the figures (tests/bench)
	$(PIP) 'andon-gateway[bench]'
	.venv/bin/python tools/scripts.py tests/bench 'bench_*.py'

rig: debian $(DEV)  ## the long rigs: kills, lost answers, the units under a real systemd (root; tests/rig)
	.venv/bin/python tools/scripts.py tests/rig '*.py' --except 'soak*'

soak: debian $(DEV)  ## hours under load (tests/rig/soak*)
	.venv/bin/python tools/scripts.py tests/rig 'soak*.py'

clean:  ## remove what was built, and caches
	rm -rf .make build dist agent/ui/static .andon-demo shots *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find agent tests tools -name __pycache__ -prune -exec rm -rf {} +

distclean: clean  ## as after a clean clone
	rm -rf .venv agent/ui/web/node_modules

# The parts of `make check`.
format: $(DEV)
	.venv/bin/ruff format --check --diff .
lint: $(DEV)
	.venv/bin/ruff check .
types: $(DEV)
	.venv/bin/mypy
layers: $(DEV)
	.venv/bin/lint-imports --no-logo
web-types: $(NODE_MODULES)
	.venv/bin/python tools/web.py run check
web-test: $(NODE_MODULES)
	.venv/bin/python tools/web.py run test

# Set-up.
debian:
	@tools/debian.sh $(DEBIAN)

.venv/pyvenv.cfg:
	tools/venv.sh $(PYTHON)

$(APP): .venv/pyvenv.cfg
	@echo "Installing the agent and building its page (about a minute the first time) …"
	@mkdir -p .make && rm -f .make/app-*
	$(PIP) --editable '.[demo]'
	@touch $@

# The agent is there already: only what its extras name is added.
$(DEV): .venv/pyvenv.cfg | $(APP)
	@echo "Installing the tools for tests and checks …"
	@mkdir -p .make && rm -f .make/dev-*
	$(PIP) 'andon-gateway[test,check]'
	@touch $@

$(NODE_MODULES): agent/ui/web/package-lock.json | $(DEV)
	.venv/bin/python tools/web.py ci
	@touch $@
