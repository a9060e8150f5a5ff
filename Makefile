# Everything a developer does here. `make` prints this list; each target prepares what it needs and can be repeated.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# The first Python >= 3.11 that can make environments; PYTHON=… overrides. pyenv's shims may exist and not run.
PYTHON = $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
SETUP = python="$(PYTHON)"; \
	test -n "$$python" || { echo "Tingsu needs Python 3.11 or newer with venv (Debian, Ubuntu: apt install python3 python3-venv)." >&2; exit 1; }; \
	"$$python" -m scripts.setup
PY := .venv/bin/python
RASA_PY := .venv-rasa/bin/python

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

.PHONY: setup
setup: ## prepare everything that the commands below need
	@$(SETUP) --dev

.PHONY: run
run: ## start everything on this machine; Ctrl-C stops it
	@$(SETUP)
	@exec $(PY) -m bot run

.PHONY: talk
talk: ## talk to the bot in this terminal (while `make run` runs)
	@$(SETUP)
	@exec $(PY) -m bot talk

.PHONY: train
train: ## train the model if its data changed
	@$(SETUP) model

.PHONY: test
test: ## all tests but the chaos ones
	@$(SETUP) --dev
	$(PY) -m pytest -n 2 -m "not (journey or browser or chaos or chaos_long)"
	$(PY) -m pytest -n 2 --dist loadfile -m "journey or browser"
	$(RASA_PY) -m pytest tests/rasa

.PHONY: test-fast
test-fast: ## only the tests that need no database, server, Rasa or browser: seconds
	@$(SETUP) --dev product
	$(PY) -m pytest -m "not (store or real or journey or browser or chaos or chaos_long)"

.PHONY: chaos
chaos: ## the guarantees under fire, short (docs/guarantees.md)
	@$(SETUP) --dev
	$(PY) -m pytest -n 2 --dist loadgroup -m "chaos and not chaos_long"

.PHONY: chaos-long
chaos-long: ## the same with full counts: about an hour, one thing at a time
	@$(SETUP) --dev
	$(PY) -m pytest -m chaos_long --timeout 3600

.PHONY: chaos-controls
chaos-controls: ## take each protection away: its test must go red
	@$(SETUP) --dev
	$(PY) -m tests.chaos.controls

.PHONY: lint
lint: ## style and common mistakes
	@$(SETUP) --dev product
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

.PHONY: types
types: ## mypy strict, once per environment
	@$(SETUP) --dev product rasa
	$(PY) -m mypy
	$(RASA_PY) -m mypy --config-file mypy.rasa.ini

.PHONY: contracts
contracts: ## the arrows of docs/architecture.md, checked by import-linter
	@$(SETUP) --dev product
	$(PY) -c "from importlinter.cli import lint_imports_command; lint_imports_command()"

.PHONY: screenshots
screenshots: ## the pictures in README, from a real talk in a real browser
	@$(SETUP) --dev
	$(PY) -m scripts.screenshots

.PHONY: bench
bench: ## speed, as ratios against a named alternative in the same run
	@$(SETUP) --dev
	$(PY) -m scripts.bench

UV_COMPILE = $(PY) -m uv pip compile --quiet --generate-hashes --no-emit-index-url --no-annotate
.PHONY: lock
lock: ## renew requirements/*.txt and package-lock.json after a change of what they are made from
	@$(SETUP) --dev product
	for name in product dev bootstrap node; do \
		$(UV_COMPILE) --universal --python-version 3.11 --custom-compile-command "make lock" requirements/$$name.in -o requirements/$$name.txt || exit 1; done
	$(UV_COMPILE) --no-header --python-platform linux --python-version 3.10 --overrides requirements/rasa-overrides.txt requirements/rasa.in -o requirements/rasa.txt
	npm install --package-lock-only --ignore-scripts

.PHONY: clean
clean: ## remove what setup made (not the data directory)
	rm -rf .venv .venv-rasa .venv-node .venv-uv .python .setup node_modules nlu_data/models .rasa \
		webhooks/static/vendor console/static/vendor .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
