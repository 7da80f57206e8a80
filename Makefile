# Two commands: `make app` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
PORT ?= $(or $(STREAMLIT_SERVER_PORT),8501)
MODELS ?= $(CT_SURVIVAL_MODELS)
BUILD ?= build
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 2
export STREAMLIT_BROWSER_GATHER_USAGE_STATS = false

.PHONY: app test test-all unit browser check types lint slow models clean

PYTEST := $(BIN)/python -m pytest -rs
UNIT := tests --ignore=tests/test_architecture.py
LEFT_OUT := slow or browser or whole
TOGETHER := $(MAKE) --no-print-directory --jobs=2
# Two test processes, the app and a browser share the cores: more threads in each only get in each other's way.
test test-all slow check: export OMP_NUM_THREADS = 1

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' || \
		{ echo "Python 3.11 or 3.12 is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.txt constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.dev: requirements-dev.txt requirements.txt constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@ $(VENV)/.runtime

app: $(VENV)/.runtime  ## start the app on 127.0.0.1, port 8501 or PORT, with own models of the folder MODELS
	@$(BIN)/python -m scripts.check_port '$(PORT)'
	CT_SURVIVAL_MODELS='$(MODELS)' $(BIN)/streamlit run app.py --server.port='$(PORT)'

test: $(VENV)/.dev  ## every test but the slow ones, of long lists of cases a fixed sample; browser tests side by side
	$(BIN)/python -m scripts.ensure_chromium
	@$(TOGETHER) browser unit

test-all: $(VENV)/.dev  ## every test there is: all cases of the long lists, and then the slow tests
	$(BIN)/python -m scripts.ensure_chromium
	@$(TOGETHER) browser unit UNIT="tests core" LEFT_OUT="slow or browser"
	@$(MAKE) --no-print-directory slow

unit:  # gives way to the browser, which has somebody waiting
	nice $(PYTEST) -m "not ($(LEFT_OUT))" -n 2 --dist worksteal $(UNIT)

browser:  # what it says is held back until it ends, so that it stands in one piece
	@mkdir -p build
	@$(PYTEST) -m browser tests/browser >build/browser.log 2>&1; ended=$$?; \
		echo; echo "Browser tests:"; cat build/browser.log; exit $$ended

slow: $(VENV)/.dev  ## the slow tests, which neither `make test` nor .ci/run runs: memory over twenty studies
	$(BIN)/python -m pytest -m slow tests

check: $(VENV)/.dev  ## ruff, mypy (strict), doctests, import directions
	@$(TOGETHER) types lint

types:
	$(BIN)/mypy

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(PYTEST) core tests/test_architecture.py

models: $(VENV)/.dev  ## rebuild every shipped bundle (hours on two cores); goes on where it was stopped; BUILD=FOLDER
	$(BIN)/python -m scripts.make_models --build '$(BUILD)'

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache
