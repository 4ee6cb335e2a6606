PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
PEERS := .venv/peers

PYTEST := $(BIN)/pytest --dist worksteal

# The processes that tests start need not compile the engine again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: search check style test mutants bench bench-search clean

search: $(READY)  ## run the main job
	$(BIN)/evo-moo run digits_cnn

check: style  ## style, types and the quick tests
	$(PYTEST) --numprocesses 2 -m "not slow"

test: style  ## style, types and all tests
	$(PYTEST) --numprocesses 3  # slow tests wait for processes that they start: three keep two cores busy

style: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy evo_moo problems surrogates

mutants: $(READY)  ## random mutants of the core rooms against their tests (hours); ARGS="--n 30 --seed 1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[mutants]'
	$(BIN)/python -m tests.mutants $(ARGS)

bench: $(READY)  ## compare speed with pymoo, side by side
	$(BIN)/python -m tests.benchmarks

bench-search: $(PEERS)/ready  ## compare search quality with other optimisers (many hours); ARGS="--help" lists options
	$(BIN)/python -m tests.benchmarks search --python pysamoo=$(PEERS)/bin/python $(ARGS)

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[torch,dev]'
	touch $@

# pysamoo asks for another pymoo than ours, and so for an environment of its own.
$(PEERS)/ready: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[benchmarks]'
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	grep -vE '^(pymoo|cma)==' constraints.txt > $(PEERS)/constraints.txt
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -c $(PEERS)/constraints.txt ezmodel==0.2.1 orjson pydacefit==1.0.1 pysamoo==0.1.2
	touch $@
