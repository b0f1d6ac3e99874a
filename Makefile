# make demo   sets up .venv and adapts a detector from a bright conveyor to a dark one with ten annotated images
# make test   sets up .venv and runs the tests
# make web-demo  makes the demo, then serves a page to try its detector on, http://127.0.0.1:7860
# make fuzz   sets up .venv and draws odd inputs anew for an hour (MINUTES=60), until one is not dealt with
# make bench  sets up .venv and measures what the docs claim of speed and memory
PYTHON_ENV := .venv/bin/python

.PHONY: demo web-demo test test-slow fuzz bench lint setup

setup:
	@tools/setup_env.sh test dev

demo: setup
	$(PYTHON_ENV) -m ms2a.cli demo

web-demo: demo
	$(PYTHON_ENV) -m ms2a.cli web work_dirs/demo

test: setup
	$(PYTHON_ENV) -m pytest

test-slow: setup
	$(PYTHON_ENV) -m pytest -m slow

fuzz: setup
	$(PYTHON_ENV) -m tests.robustness.fuzz $(or $(MINUTES),60)

bench: setup
	$(PYTHON_ENV) -m benchmarks.run_all

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
