PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: search test bench clean

search: $(READY)  ## run the main job
	$(BIN)/evo-moo run digits_cnn

test: $(READY)  ## run all checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy evo_moo
	$(BIN)/mypy problems surrogates
	$(BIN)/pytest --numprocesses 2 --dist worksteal

bench: $(READY)  ## compare speed with pymoo, side by side
	$(BIN)/python -m tests.benchmarks

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[torch,dev]'
	touch $@
