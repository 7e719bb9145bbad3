# The repository's own commands. `make train` and `make test` need Python 3.11 and PyPI, no more.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TESTS_READY := $(VENV)/.ready-for-tests
ALL_READY := $(VENV)/.ready-for-all-tests
SMACLITE_HOME ?= $(HOME)/smaclite
WORKERS ?= $(shell nproc)
export OMP_NUM_THREADS := 1

.PHONY: setup train test test-all check study study-report clean

setup: $(TESTS_READY)

# torch first and pinned: an unpinned one brings gigabytes of CUDA. pymarlzooplus without its own
# requirements, which cannot be installed; extra "host" has what it needs. SMAClite is not on PyPI.
$(READY): pyproject.toml Makefile
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q torch==2.13.0
	$(BIN)/python -m pip install -q --no-deps pymarlzooplus==1.1.0
	$(BIN)/python -m pip install -q -e ".[host]"
	if [ -d "$(SMACLITE_HOME)" ]; then \
	    $(BIN)/python -m pip install -q rtree pygame && \
	    $(BIN)/python -m pip install -q --no-deps "$(SMACLITE_HOME)"; fi
	touch $@

$(TESTS_READY): $(READY)
	$(BIN)/python -m pip install -q -e ".[host,export,onnx,report,mongo,dev]"
	touch $@

$(ALL_READY): $(TESTS_READY)
	$(BIN)/python -m pip install -q -e ".[ray,mamujoco,smax]"
	touch $@

train: $(READY)
	EPYMARL_HOME= MAST_HOST_PLOTS=0 $(BIN)/mast train --host pymarlzooplus \
	    --config=mast_qmix --env-config=gymma with \
	    env_args.key=lbforaging:Foraging-8x8-2p-3f-v3 env_args.time_limit=50 \
	    t_max=20000 test_interval=5000 test_nepisode=20 log_interval=5000 \
	    runner_log_interval=1000 learner_log_interval=1000 \
	    mast.topology_interval=20 seed=1

# The study behind docs/results.md: days of one core. It goes on where it was stopped, and past runs
# that fail, which make it end with an error.
study: $(READY)
	failed=0; for file in main dense_mast first_alpha sparsities parts algorithms vdn interval width \
	    agents stock overestimation buffers search/operator search/sharpness \
	    search/learning_rate_vdn search/learning_rate_qmix; do \
	    $(BIN)/mast sweep benchmarks/study/$$file.yaml --workers $(WORKERS) || failed=1; done; \
	$(BIN)/python benchmarks/study/tickets.py || failed=1; \
	if [ -f benchmarks/study/results/tickets.yaml ]; then \
	    $(BIN)/mast sweep benchmarks/study/results/tickets.yaml --workers $(WORKERS) || failed=1; fi; \
	exit $$failed

study-report: $(TESTS_READY)
	$(BIN)/python benchmarks/study/summarise.py
	$(BIN)/python benchmarks/study/report.py

check: $(TESTS_READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Everything: the core, which knows no host and whose tests must reach 90 % of its lines, then the
# rest. Apart, because counting lines makes tests half as fast.
CORE_TESTS := $(addprefix tests/,sparse targets replay conformance test_errors.py test_networks.py \
    test_options.py test_overrides.py test_tiny.py)
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
test: check
	$(PYTEST) $(CORE_TESTS) \
	    --cov=epymarl_mast.sparse --cov=epymarl_mast.targets --cov=epymarl_mast.replay \
	    --cov=epymarl_mast.options --cov=epymarl_mast.networks --cov=epymarl_mast.overrides \
	    --cov=epymarl_mast.errors --cov-report=term:skip-covered --cov-fail-under=90
	$(PYTEST) $(addprefix --ignore=,$(CORE_TESTS))

# The same with the tests that take most of a minute each, and the kernels as a CPU without AVX-512
# has them.
test-all: test $(ALL_READY)
	$(BIN)/python -m pytest -n $(WORKERS) -m long
	NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES=+avx2,+fma \
	    $(BIN)/python -m pytest -n $(WORKERS) tests/sparse tests/hosts/test_engines_agree.py

clean:
	rm -rf $(VENV) build dist results .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
