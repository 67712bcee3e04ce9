# Two commands on a fresh machine with Python 3.10 to 3.12: `make exvo` and `make test`. Both set up .venv by themselves.

PYTHON ?= python3
RUN := .venv/bin/python
RECIPE ?= examples/recipes/burst2vec/quickstart.yaml
# runs/quickstart, which README's examples load. Once that run is finished, the next one's name has its date and time;
# while it is not, run_exvo.py refuses the folder and says how to resume.
RUN_FOLDER = runs/$(basename $(notdir $(RECIPE)))
OUTPUT ?= $(RUN_FOLDER)$(if $(wildcard $(RUN_FOLDER)/metrics.json),-$(shell date +%Y%m%d-%H%M%S))
WORKERS ?= 2

.PHONY: exvo test quick wheel shipped docs lint format coverage bench clean

exvo: .venv/.installed  ## train, score, save and predict with the quickstart recipe; RECIPE=… for another
	.venv/bin/accelerate launch --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no \
		examples/run_exvo.py $(RECIPE) --output_dir $(OUTPUT) $(ARGS)

# Threads that wait asleep: on shared cores several times faster than threads that spin.
test quick coverage: export OMP_NUM_THREADS = 1
test quick coverage: export OMP_WAIT_POLICY = PASSIVE
test: .venv/.developing  ## every test and doctest
	$(RUN) -m pytest -n $(WORKERS) --dist loadgroup

coverage: .venv/.developing  ## the same, with branch coverage of burst2vec/
	$(RUN) -m pytest -n $(WORKERS) --dist loadgroup --cov --cov-report=term --cov-fail-under=90

quick: .venv/.developing  ## the tests of single functions and parts; what takes whole runs, or real recordings, is left out
	$(RUN) -m pytest -n $(WORKERS) --dist loadgroup -m "not slow and not emogator"

wheel:  ## the package as its users install it, in a fresh environment: does it predict?
	.ci/check_wheel $(PYTHON)

shipped: .venv/.installed  ## the finished run MODEL=runs/small, as the model that comes with the package; NAME=… for another
	$(RUN) -m burst2vec.experiment.shipping $(MODEL) --name $(or $(NAME),small)

docs: .venv/.documenting  ## the documentation site, into build/site
	$(RUN) -m mkdocs build --strict --config-file docs/mkdocs.yml

lint: .venv/.developing
	$(RUN) -m ruff check . && $(RUN) -m ruff format --check .

format: .venv/.developing
	$(RUN) -m ruff check --fix . && $(RUN) -m ruff format .

bench: .venv/.developing  ## how fast, beside what a user would run instead
	for bench in read_audio train_step personalise preprocess corpus_memory embed train_on_features predict; do $(RUN) benchmarks/$$bench.py || exit 1; done

# The versions of constraints.txt, with uv where there is one, else with pip. Training needs less than testing.
.venv/.installed: WHAT = .
.venv/.developing: WHAT = ".[dev]"
.venv/.documenting: WHAT = ".[docs]"
.venv/.developing .venv/.documenting: .venv/.installed
.venv/.installed .venv/.developing .venv/.documenting: setup.py constraints.txt
	@test -x .venv/bin/python || $(PYTHON) -c "import sys; ok = (3, 10) <= sys.version_info[:2] <= (3, 12); \
		sys.exit(None if ok else 'burst2vec needs Python 3.10 to 3.12, this is %d.%d: make PYTHON=python3.12' % sys.version_info[:2])"
	@if command -v uv >/dev/null; then \
		{ test -x .venv/bin/python || uv venv --python $(PYTHON) .venv; } && \
		VIRTUAL_ENV=.venv uv pip install -e $(WHAT) -c constraints.txt; \
	else \
		{ test -x .venv/bin/python || $(PYTHON) -m venv .venv; } && \
		$(RUN) -m pip install --disable-pip-version-check --progress-bar on -e $(WHAT) -c constraints.txt; \
	fi
	@touch $@

clean:
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .coverage*
