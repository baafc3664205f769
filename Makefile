# make bench   the quick study: train, table, draw          make test    the tests
# make check   what CI runs: ruff, types, tests             make tables  the README's tables and figures, from the committed runs
# make clean   everything made here but the runs
# make gpu-results   on a machine with a GPU: its tests and studies, in steps; STEPS="lengths sizes" for some of them
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
export OMP_NUM_THREADS = 1

.PHONY: bench install test test-slow test-slurm test-browser test-gpu check format benchmark tables notebooks gpu-results clean

bench: $(STAMP)
	@echo "== the quick study: rnn, lstm and gru on real text, gradients cut after 16 steps and whole; 12 runs of half a minute"
	$(BIN)/rnnbench sweep seqlen_perplexity --preset quick --out runs

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@echo "== making $(VENV) and installing rnnbench into it (once; a minute or two)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

test: $(STAMP)
	@echo "== the tests, on three workers: some wait for processes of theirs"
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "not slow and not gpu and not slurm and not browser"

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

test-slurm: $(STAMP)
	@echo "== a real Slurm of two simulated nodes on this machine; its packages come from Debian"
	command -v slurmctld >/dev/null && command -v munged >/dev/null || apt-get install -y -qq slurm-wlm munge
	$(BIN)/python -m pytest -m slurm

test-browser: $(STAMP)
	@echo "== the pages in headless Chromium, which comes from Debian"
	command -v chromium >/dev/null || apt-get install -y -qq chromium
	$(BIN)/python -m pytest -m browser

test-gpu: $(STAMP)
	$(BIN)/python -m pytest -m gpu

check: $(STAMP)
	@echo "== ruff"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@echo "== types"
	$(BIN)/mypy
	@$(MAKE) --no-print-directory test

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

benchmark: $(STAMP)
	@echo "== rnnbench against the plain PyTorch loop, in turn"
	$(BIN)/python benchmarks/against_plain_loop.py
	@echo "== the scan against the loop that autograd differentiates, in turn"
	$(BIN)/python benchmarks/scan.py
	@echo "== our clocks against torch.utils.benchmark, in turn"
	$(BIN)/python benchmarks/independent.py
	@echo "== a step of rnnbench train against a bare loop's, in turn"
	$(BIN)/python benchmarks/overhead.py
	@echo "== what a sweep adds to its runs"
	$(BIN)/python benchmarks/sweeping.py
	@echo "== a report over a thousand runs"
	$(BIN)/python benchmarks/reporting.py
	@echo "== what the probes cost, against forward and backward"
	$(BIN)/python benchmarks/probes.py

tables: $(STAMP)
	@echo "== the tables and figures of experiments/results and of the README, from the runs there"
	$(BIN)/python experiments/results/tables.py

notebooks: $(STAMP)
	@echo "== the notebooks, run again from top to bottom, with their outputs"
	$(BIN)/python tests/support/notebooks.py notebooks/*.ipynb

gpu-results: $(STAMP)
	$(BIN)/python benchmarks/gpu_results.py $(STEPS)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache *.egg-info
