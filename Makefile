# What can be done with this course. Every target sets up by itself what it needs.

# Any Python may start tools/make_environment.py: where python3 is too old or too new for the course,
# that looks for a better one itself. PYTHON=... names the one that must be used.
PYTHON ?= $(or $(shell for p in python3 python3.13 python3.12 python3.11 python3.10; do \
    command -v $$p >/dev/null && echo $$p && break; done),python3)
PY = .venv/bin/python

help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-17s %s\n", $$1, $$2}' Makefile

lab: setup ## opens the first lesson in JupyterLab
	$(PY) -m jupyterlab --ip=127.0.0.1 $(if $(filter 0,$(shell id -u)),--allow-root) \
	    --ServerApp.root_dir="$(CURDIR)" \
	    --LabApp.default_url=/lab/tree/notebooks/01_mse_baseline.ipynb

setup: ## installs everything into .venv (3 minutes and 3 GB the first time)
	@"$(PYTHON)" tools/make_environment.py .venv requirements.txt

test: setup ## runs the fast tests
	$(PY) -m pytest -m "not slow"

test-slow: setup ## runs the other tests
	$(PY) -m pytest -m slow

test-all: setup ## runs every test
	$(PY) -m pytest

lessons: setup ## executes every lesson anew, or one: LESSON=01_mse_baseline
	$(PY) tools/execute_lessons.py $(LESSON)

slides: setup ## makes a deck of slides of every lesson, in build/slides
	$(PY) -m tools.publish.slides

site: setup ## makes pages to read of every lesson, in build/site
	$(PY) -m tools.publish.pages

results: setup ## trains the models behind the tables in data/, over seeds
	$(PY) -m experiments results
	$(PY) -m studies learning-curve
	$(PY) -m studies initialisation
	$(PY) -m studies modern
	$(PY) -m studies known-features
	$(PY) -m studies k-sparse

sweep: setup ## trains the grid behind data/sweep.csv; on a Dask cluster: SCHEDULER=tcp://...
	$(PY) -m experiments sweep $(if $(SCHEDULER),--scheduler $(SCHEDULER))

recording: setup ## records the README's moving picture from a real browser
	$(PY) -m tools.record_playground

bench: ## compares the speed with other libraries, installed into .venv-bench
	@"$(PYTHON)" tools/make_environment.py .venv-bench requirements.txt benchmarks/requirements.txt
	.venv-bench/bin/python benchmarks/run.py

bench-playground: setup ## measures the playground in a real browser (12 minutes)
	$(PY) benchmarks/playground_speed.py

lock: ## resolves pyproject.toml into requirements.txt
	"$(PYTHON)" -m venv --clear .venv-lock
	.venv-lock/bin/pip install --quiet uv
	.venv-lock/bin/uv pip compile --quiet --universal --python-version 3.10 --extra test \
	    --no-header --no-emit-index-url --no-emit-find-links pyproject.toml -o requirements.txt
	rm -rf .venv-lock

clean: ## removes the environments and what tools left behind
	rm -rf .venv .venv-bench .venv-lock build *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
	find . -name .ipynb_checkpoints -prune -exec rm -rf {} +

.PHONY: help lab setup test test-slow test-all lessons slides site results sweep recording bench bench-playground lock clean
