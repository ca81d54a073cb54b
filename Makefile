# make demo | test | test-spark | test-all | lint | bench | clean — each installs what it needs into .venv first.
# A CPU build of torch from elsewhere:
#   make demo TORCH_FROM="--index-url https://download.pytorch.org/whl/cpu"

PYTHON     ?= python3
TORCH_FROM ?=
VENV       := .venv
BIN        := $(VENV)/bin
STAMP      := $(VENV)/.installed
SPARK      := $(VENV)/.spark
SHARDED    := $(VENV)/.sharded
PIP        := $(BIN)/python -m pip --disable-pip-version-check

# The public logs, where a folder of them lies beside the checkout.
ifndef RECMTL_DATA
  ifneq ($(wildcard ../shared/data/.),)
    RECMTL_DATA := $(abspath ../shared/data)
  endif
endif
ifdef RECMTL_DATA
  export RECMTL_DATA
endif

export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export MLFLOW_DISABLE_TELEMETRY := true
# A fresh home on a busy machine needs more than the 20 s that Prefect gives its embedded server.
export PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS := 180

.PHONY: demo test test-spark test-all lint bench clean install
.DEFAULT_GOAL := demo

demo: $(STAMP)
	@$(BIN)/python -m flows.demo

# What reaches standard error after the tests (DuckDB's binding reports what lives on at exit) is
# shown only where they fail, so that pytest's closing line is the last one.
define tests
@$(BIN)/python -m pytest -q $(1) 2>$(VENV)/errors || { code=$$?; cat $(VENV)/errors >&2; exit $$code; }
endef

# Two files at a time: most of a test's time is one thread's. Threads that wait for others leave their core.
IN_TWO := -n 2 --dist loadfile
test test-all: export OMP_WAIT_POLICY = passive

# Every test that ingests, on Spark and compared with DuckDB; what these rooms' tests read is no log.
ON_SPARK := -p tests.engines.plugin $(foreach room,evaluate learn model page schema,--ignore tests/$(room))

test: $(STAMP) $(SPARK) $(SHARDED)
	$(call tests,$(IN_TWO) $(TESTS))

test-spark: $(STAMP) $(SPARK)
	$(call tests,$(ON_SPARK) $(TESTS))

test-all: $(STAMP) $(SPARK) $(SHARDED)
	$(call tests,$(IN_TWO) -m "")
	$(call tests,$(ON_SPARK))

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench: $(STAMP)
	@$(BIN)/python benchmarks/w1.py
	@$(BIN)/python benchmarks/score.py
	@$(BIN)/python benchmarks/sweeps.py
	@$(BIN)/python benchmarks/memory.py
	@$(BIN)/python benchmarks/bf16.py
	@$(BIN)/python benchmarks/report.py

install: $(STAMP)

# torch alone and first: its version is then settled before anything else could ask for another build.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "recmtl needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	       "Choose another one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "Installing into $(VENV): once, a minute or two"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install -qq $(TORCH_FROM) torch==$$(sed -n 's/^torch==//p' constraints.txt)
	@$(PIP) install -qq -c constraints.txt -e '.[dev]'
	@touch $@

# Half a gigabyte that only the tests which compare the two engines need.
$(SPARK): $(STAMP)
	@echo "Installing Spark for the tests that compare engines: once, a minute or two"
	@$(PIP) install -qq -c constraints.txt -e '.[dev,spark]'
	@touch $@

# TorchRec for the CPU, 45 MB. Its own requirement, FBGEMM for CUDA, would take the place of that for the CPU:
# hence --no-deps, and what it imports by name. Where there is no build of it, its tests are passed over.
TORCHREC := torchrec fbgemm-gpu-cpu tensordict pyvers pyre-extensions typing-inspect mypy-extensions

$(SHARDED): $(STAMP)
	@$(PIP) install -qq --no-deps -c constraints.txt $(TORCHREC) || \
	  echo "No TorchRec for this machine: the tests of sharded tables are passed over" >&2
	@touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
