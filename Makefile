# Two commands do all the set-up: `make study-latent-dims` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.installed-docs
STUDIES := $(subst _,-,$(basename $(notdir $(wildcard studies/*.py))))
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install install-docs test test-slow test-faults lint types check article reproduce tables ui dashboard bench docs
.SUFFIXES:

help:
	@echo "make study-NAME [ARGS=\"--quick ...\"]   run a study; a rerun finishes what is missing"
	@echo "make article [ARGS=\"--plan ...\"]        judge the article's claims, after missing runs are trained, and write the report; --plan lists these"
	@echo "make reproduce [ARGS=\"--plan ...\"]      run published protocols, and compare the results with the published numbers"
	@echo "make tables                            write the tables of all studies again from the recorded runs"
	@echo "make ui                                serve MLflow's pages of the recorded runs"
	@echo "make dashboard [ARGS=STUDY]            serve Optuna's pages of the trials of a study"
	@echo "make test                              the tests, without the slow ones"
	@echo "make test-slow                         the slow tests: studies of several processes that are killed, cut off and stopped"
	@echo "make test-faults                       kill processes at each operation on a result, searched studies, and a running study 200 times; count its cells"
	@echo "make bench                             measure steps, runs and sweeps against a plain loop and a lower limit; 7 minutes"
	@echo "make docs                              the documentation as a site, in build/site/; a broken link is an error"
	@echo "make check                             lint, types and all tests"
	@echo
	@echo "Studies:"
	@for name in $(STUDIES); do \
	  file=studies/$$(echo $$name | tr - _).py; \
	  echo "  study-$$name"; \
	  sed -n '1s/^"""/      /p; s/^Minutes: */      minutes: /p' $$file; \
	done

install: $(STAMP)

# pip would compile every file of every package, most of which nothing imports; Python compiles what it imports, unless
# it is told to write no compiled files.
PIP := -m pip install --quiet --disable-pip-version-check $(if $(PYTHONDONTWRITEBYTECODE),,--no-compile) --constraint constraints.txt

# Remade only when what is to be installed changes.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Python 3.11 or newer is needed, $(PYTHON) is {v.major}.{v.minor}; try make PYTHON=python3.11")'
	@echo "installing into $(VENV); torch is large, so this takes a few minutes" >&2
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python $(PIP) --editable '.[dev]'
	@touch $@

study-%:
	@$(PYTHON) -c 'import difflib, sys; name, *valid = sys.argv[1:]; near = difflib.get_close_matches(name, valid, 1); hint = f" (did you mean {near[0]}?)" if near else ""; sys.exit(0) if name in valid else (print(f"unknown study {name}{hint}; choose from:", *valid, file=sys.stderr), sys.exit(2))' $* $(STUDIES)
	@$(MAKE) --no-print-directory $(STAMP)
	@$(BIN)/python studies/$(subst -,_,$*).py $(ARGS)

article: $(STAMP)
	@$(BIN)/vaestudy article $(ARGS)

reproduce: $(STAMP)
	@$(BIN)/vaestudy reproduce $(ARGS)

tables: $(STAMP)
	@$(BIN)/vaestudy tables $(ARGS)

ui: $(STAMP)
	@$(BIN)/vaestudy ui $(ARGS)

dashboard: $(STAMP)
	@$(BIN)/vaestudy dashboard $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow" $(ARGS)

test-slow: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow $(ARGS)

test-faults: $(STAMP)
	$(BIN)/python -m tests.robustness.operations
	$(BIN)/python -m tests.robustness.search_faults
	$(BIN)/python -m tests.robustness.faults $(ARGS)

bench: $(STAMP)
	$(BIN)/python -m tests.benchmarks.bench $(ARGS)

# The packages of the site are installed at its first build only, as nothing else needs them.
$(DOCS_STAMP): $(STAMP)
	@$(BIN)/python $(PIP) --editable '.[docs]'
	@touch $@

install-docs: $(DOCS_STAMP)

docs: $(DOCS_STAMP)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --config-file docs/site/mkdocs.yml
	@echo "build/site/index.html"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

check: lint types test test-slow
