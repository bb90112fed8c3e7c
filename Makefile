# One .venv, set up by the first target that needs it and reused by all the others.
# `make PYTHON=python3.12 test` picks the interpreter, `make ARGS="-k bridge" test` passes options.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NOTEBOOKS := $(wildcard notebooks/*.ipynb)
BENCHMARKS := $(wildcard benchmarks/*.py)
# Outputs are kept; what differs from run to run is not (see CONTRIBUTING.md).
STRIP := $(BIN)/nbstripout --keep-output --keep-count --keep-id \
	--extra-keys "metadata.language_info.version"

# Tests that start processes wait for them: one worker more than there are cores is busy.
WORKERS = $(shell $(BIN)/python -c 'import os; print((os.cpu_count() or 1) + 1)')

PYTHONS := $(or $(PYTHON),python3 python3.13 python3.12 python3.11)
SUPPORTED := import sys; sys.exit(sys.version_info < (3, 11))

# Packages are installed without being compiled; Python keeps what it compiles as they are first
# imported. Forbidden to, every process would compile them again, numba alone for a second.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test lint check quick mutants wheel lab notebooks html docs bench soak lock clean

help: ## Show this list
	@echo "routingsim: make TARGET, where TARGET is one of"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(READY) ## Replay recorded answers live under five policies; leaves routing-report.html
	$(BIN)/routingsim replay paretobandit --agents paretobandit --policy threshold \
		--policy threshold:calibrated --policy least-loaded --policy ridge --policy utility \
		--live --speed 100 --seed 7 --report routing-report.html
	@echo
	@echo "Open routing-report.html. Then, with tasks of your own:"
	@echo "  source $(BIN)/activate"
	@echo "  routingsim check mine.csv                        # columns id and text: what was read"
	@echo "  routingsim replay mine.csv --report report.html  # the same report on your tasks"
	@echo "  routingsim compare mine.csv                      # with intervals, at several loads"

test: $(READY) ## Run every test, the notebooks too
	$(BIN)/pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder $(ARGS) tests \
		$(if $(NOTEBOOKS),--nbval notebooks)

lint: $(READY) ## Check style, types, layers and notebooks
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo --no-cache
	$(if $(NOTEBOOKS),$(STRIP) --verify $(NOTEBOOKS))

check: $(READY) ## In a minute: lint, and the quick tests, which start and compile nothing
	@$(MAKE) --no-print-directory -j 2 lint quick

quick: $(READY)
	$(BIN)/pytest -q -p no:nbval \
		-m "not (soak or slow or system or browser or reference)" $(ARGS) tests

mutants: $(READY) ## Do the tests notice faults: make mutants MODULES="routing/router report/text"
	$(BIN)/python tests/mutants.py $(ARGS) $(MODULES)

wheel: $(READY) ## Build the wheel, install it into a clean environment, replay with it
	rm -rf dist build/clean build/empty && mkdir -p build/empty
	sed -e 's/\[[a-z,]*\]==/==/' -e '/--hash=/d' -e 's/ \\$$//' requirements.lock \
		> build/constraints.txt
	@set -e; if uv --version >/dev/null 2>&1; then \
		uv build --quiet --wheel --out-dir dist; \
		uv venv --quiet --python $(BIN)/python build/clean; \
		uv pip install --quiet --python build/clean/bin/python -c build/constraints.txt dist/*.whl; \
	else \
		$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .; \
		$(BIN)/python -m venv build/clean; \
		build/clean/bin/python -m pip install --quiet -c build/constraints.txt dist/*.whl; \
	fi
	cd build/empty && ../clean/bin/routingsim replay tasks --policy least-loaded \
		--arrivals poisson:2 --seed 1 --report report.html

lab: $(READY) ## Open the notebooks in JupyterLab
	$(BIN)/jupyter lab $(ARGS) notebooks

notebooks: $(READY) ## Execute every notebook afresh and store its outputs
	TQDM_DISABLE=1 $(BIN)/jupyter nbconvert --to notebook --execute --inplace \
		--ExecutePreprocessor.record_timing=False $(NOTEBOOKS)
	$(STRIP) $(NOTEBOOKS)

html: $(READY) ## Leave the notebooks, as executed, and their HTML in out/notebooks
	$(BIN)/jupyter nbconvert --log-level ERROR --to html --output-dir out/notebooks $(NOTEBOOKS)
	cp $(NOTEBOOKS) out/notebooks

docs: $(READY) ## Write what is generated, build site/, check its links
	$(BIN)/python docs/architecture.py
	$(BIN)/python docs/policies.py
	$(BIN)/python docs/logs.py
	cd docs && MPLBACKEND=Agg ../$(BIN)/python pages.py concepts.md
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -d build/doctrees docs site
	@echo "site/index.html"

bench: $(READY) ## Run the benchmarks and print their tables
	@set -e; for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python $$script $(ARGS); done

soak: $(READY) ## Run the tests that take minutes
	$(BIN)/pytest -m soak -s $(ARGS) tests

lock: ## Resolve requirements.lock and deploy/requirements.lock anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --all-extras --upgrade \
		--generate-hashes --no-header --no-emit-index-url --output-file requirements.lock pyproject.toml
	echo 'hatchling>=1.27' | uv pip compile --quiet --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-header --no-emit-index-url --constraints build/constraints.txt \
		--output-file deploy/requirements.lock pyproject.toml -

clean: ## Remove all that these targets made, .venv too
	rm -rf $(VENV) .pytest_cache .hypothesis .ruff_cache .import_linter_cache build dist out site
	rm -f routing-report.html
	find routingsim tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

# The lock is complete, so nothing is resolved here, and Python compiles what it imports when it
# does: to compile every file of every package takes about as long as all the rest. What is
# installed has the hashes of the lock; the checkout itself has none, so it comes after.
# A .venv that works is updated, not made anew.
$(READY): pyproject.toml requirements.lock
	@set -e; \
	if ! $(BIN)/python -c '$(SUPPORTED)' 2>/dev/null; then \
		for python in $(PYTHONS) none; do \
			if $$python -c '$(SUPPORTED)' 2>/dev/null; then break; fi; \
		done; \
		if [ $$python = none ]; then \
			echo "make: no Python 3.11 or later among: $(PYTHONS)." \
				"Install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2; \
			exit 1; \
		fi; \
		echo "Setting up $(VENV) with $$($$python --version) ..."; \
		rm -rf $(VENV); \
		if uv --version >/dev/null 2>&1; then uv venv --quiet --python "$$python" $(VENV); \
		elif ! $$python -m venv $(VENV); then \
			rm -rf $(VENV); \
			echo "make: $$python cannot make a virtual environment; install its venv module" \
				"(Debian, Ubuntu: apt-get install python3-venv) or uv." >&2; \
			exit 1; \
		fi; \
	fi; \
	echo "Installing the packages of requirements.lock ..."; \
	if uv --version >/dev/null 2>&1; then \
		uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes \
			-r requirements.lock; \
		uv pip install --quiet --python $(BIN)/python --no-deps -e .; \
	else \
		$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null; \
		$(BIN)/python -m pip install --quiet --no-compile --no-deps --require-hashes \
			-r requirements.lock; \
		$(BIN)/python -m pip install --quiet --no-compile --no-deps -e .; \
	fi; \
	touch $@
