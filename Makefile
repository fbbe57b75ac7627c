# What can be done with this course. Every target sets up by itself what it needs.

# The first Python that the course can use; PYTHON=... names another.
PYTHON ?= $(or $(shell for p in .venv/bin/python python3 python3.13 python3.12 python3.11 python3.10; do \
    $$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null \
    && echo $$p && break; done),python3)
PY = .venv/bin/python
TABLE ?= results learning_curve initialisation modern l1_changes k_sparse recovery overlap inside

help: ## lists the targets
	@awk -F ': .*## |: ## ' '/^[a-z -]+:.*## / {printf "make %-17s %s\n", $$1, $$2}' Makefile

lab: setup ## opens the first lesson in JupyterLab
	MALLOC_ARENA_MAX=1 $(PY) -m jupyterlab --ip=127.0.0.1 --ServerApp.root_dir="$(CURDIR)" \
	    $(if $(filter 0,$(shell id -u)),--allow-root) \
	    --LabApp.default_url=/lab/tree/notebooks/01_mse_baseline.ipynb
setup: ## installs what lessons need into .venv (3 minutes and 3 GB the first time)
	@"$(PYTHON)" tools/make_environment.py .venv requirements.txt
dev: ## installs what tests and pages need as well
	@"$(PYTHON)" tools/make_environment.py .venv requirements.txt requirements-dev.txt

hub: ## starts a JupyterHub for a class, as root: CODE=... (teaching/hub/README.md)
	@"$(PYTHON)" teaching/hub/hub.py start
hub-backup: ## saves homes and accounts of the class in one file, as root
	@"$(PYTHON)" teaching/hub/hub.py backup
hub-end: ## deletes homes and accounts at the end of a term, as root
	@"$(PYTHON)" teaching/hub/hub.py end

test: dev ## runs the fast tests (3 minutes)
	$(PY) -m pytest -n 2 -m "not slow"
test-all: test test-lessons test-browser test-publish test-nbgrader test-setup test-hosts test-hub ## runs all tests
test-lessons test-browser test-publish test-nbgrader test-setup test-hosts test-hub test-ci: dev ## runs a part of the slow tests
	$(PY) -m pytest -m $(patsubst lessons,mnist,$(@:test-%=%))

lessons: dev ## makes the notebooks from lessons/; one: LESSON=01_mse_baseline; executes all: AGAIN=1
	$(PY) -m tools.lessons $(LESSON) $(if $(AGAIN),--again)
badges: dev ## says where the course is published, ADDRESS=owner/name, to all that links there
	$(PY) -m tools.badges "$(ADDRESS)"
	$(PY) -m tools.lessons
slides: dev ## makes a deck of slides of every lesson, in build/slides
	$(PY) -m tools.slides
site: dev ## makes the pages, in build/site: lessons, glossary, guide, and the page that trains
	@$(PY) -c 'import sphinx' 2>/dev/null || { \
	    echo "Pages need Python 3.11 or later: make clean, then make site PYTHON=python3.12"; exit 1; }
	rm -rf build/site
	$(PY) -m sphinx -W --keep-going -E -q -c site -d build/doctrees . build/site
	@echo "Open build/site/index.html in a browser."
live: dev ## makes the page that trains without Python, build/live.html
	$(PY) -m tools.live
recording: dev ## records the README's moving picture from a real browser
	$(PY) -m tools.figures recording

results: dev ## trains what the tables in data/ still lack, over seeds; one: TABLE=modern
	for table in $(TABLE); do $(PY) -m sparse_autoencoder.studies $$table || exit; done
sweep: dev ## trains the grid behind data/sweep.csv; on a Dask cluster: SCHEDULER=tcp://...
	$(PY) -m sparse_autoencoder.studies sweep $(if $(SCHEDULER),--scheduler $(SCHEDULER))
bench: ## compares the speed with other libraries, installed into .venv-bench
	@"$(PYTHON)" tools/make_environment.py .venv-bench requirements.txt benchmarks/requirements.txt
	.venv-bench/bin/python benchmarks/training_speed.py
bench-playground: dev ## measures the playground and the live page in a real browser (14 minutes)
	$(PY) benchmarks/playground_speed.py
	$(PY) benchmarks/live_speed.py

RESOLVE = .venv-lock/bin/uv pip compile -q --universal --python-version 3.10 --no-python-downloads \
    --no-annotate --no-header --no-emit-index-url --no-emit-find-links pyproject.toml
lock: ## resolves pyproject.toml into the three lists of requirements
	"$(PYTHON)" -m venv --clear .venv-lock
	.venv-lock/bin/pip install --quiet uv
	$(RESOLVE) --extra lab -o requirements.txt
	cat requirements.txt requirements-dev.txt > .venv-lock/all.txt
	$(RESOLVE) --extra lab --extra dev -c requirements.txt -o .venv-lock/all.txt
	grep -vxFf requirements.txt .venv-lock/all.txt > requirements-dev.txt
	$(RESOLVE) --extra lab --extra hub -c requirements.txt -o .venv-lock/all.txt
	grep -vxFf requirements.txt .venv-lock/all.txt > teaching/hub/requirements.txt
	rm -rf .venv-lock
clean: ## removes the environments and what tools left behind
	rm -rf .venv .venv-bench .venv-lock build *.egg-info .pytest_cache .ruff_cache
	find . \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +

.PHONY: help lab setup dev hub hub-backup hub-end test test-all test-lessons test-browser test-publish test-nbgrader \
    test-setup test-hosts test-hub test-ci lessons badges slides site live recording results sweep bench bench-playground lock clean
