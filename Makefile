# Everything a checkout can do. `make` alone explains it; `make demo` and `make test` set up whatever they need.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
PACKAGES := schemas aggregators processors sinks producers ops

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory --no-builtin-rules
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help install demo unit test check fmt bench faults soak docs lock audit clean

help: ## explain the targets (this)
	@echo "Streamgauge: running summaries of event streams on Kafka. Begin with 'make demo' or 'make test'."
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r target text; do \
	    printf '  make %-8s %s\n' "$$target" "$$text"; done

install: $(INSTALLED) ## set up .venv from the lock (Python 3.11 to 3.13; about half a minute)

# Again only when a lock or the project's description changed. Every package is checked against its hash, and only
# ready-made wheels are taken, so that no compiler is needed.
$(INSTALLED): requirements.lock pyproject.toml
	@set -e; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	    for candidate in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
	        if $$candidate -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	            >/dev/null 2>&1; then found=$$candidate; break; fi; \
	    done; \
	    if [ -z "$$found" ]; then \
	        echo "make install: no Python 3.11, 3.12 or 3.13 with the venv module is on the path; install one" \
	            "(Debian, Ubuntu: python3 and python3-venv) or name yours: make install PYTHON=/path/to/python3" >&2; \
	        exit 1; \
	    fi; \
	    echo "$(VENV): new, with $$($$found --version)"; \
	    $$found -m venv --clear $(VENV); \
	fi; \
	echo "$(VENV): installing what requirements.lock names"; \
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps --only-binary :all: -r requirements.lock; \
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .; \
	touch $@

demo: install ## see it work: a real Kafka, a worker, the sample data, the reports
	@$(BIN)/streamgauge demo

unit: install ## the tests that need no broker, doctests included (seconds)
	@$(BIN)/python -m pytest -q tests/unit $(PACKAGES)

test: install ## every test but the long ones, real Kafka included (minutes)
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not long"

check: install ## format, lint, types, imports and generated documents, without changing anything
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m tests.docs --check

fmt: install ## format the code and mend what the linter can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: install ## write the generated documents anew (docs/cli.md)
	@$(BIN)/python -m tests.docs

faults: install ## kill, stop, cut off and starve workers and brokers; all must come out exact (40 minutes; SEED=7: again)
	@$(BIN)/python -m pytest -v -n 3 tests/faults --ignore tests/faults/test_soak.py $(if $(SEED),--seed $(SEED))

soak: install ## one worker for an hour at half load: exact, and its memory and open files stay as they are (MINUTES=10)
	@$(BIN)/python -m pytest -s tests/faults/test_soak.py $(if $(MINUTES),--minutes $(MINUTES))

bench: install ## measure: worker CPU a million events, its split, memory, hot sites … (an hour; CASE=drain: one)
	@$(BIN)/python -m tests.bench $(CASE) $(if $(EVENTS),--events $(EVENTS)) $(if $(OUT),--out $(OUT))

lock: install ## all lock files, the peers' too (what is locked stays; remove a lock to choose anew)
	@test -x build/lock/bin/uv || { $(BIN)/python -m venv build/lock && build/lock/bin/pip install --quiet uv; }
	@build/lock/bin/uv pip compile pyproject.toml --group dev --generate-hashes --universal \
	    --python-version 3.11 --no-emit-index-url --no-header --quiet -o requirements.lock
	@build/lock/bin/uv pip compile pyproject.toml --constraint requirements.lock --generate-hashes --universal \
	    --python-version 3.11 --no-emit-index-url --no-header --quiet -o requirements-runtime.lock
	@for asked in tests/bench/peers/*/requirements.in; do \
	    build/lock/bin/uv pip compile $$asked --generate-hashes --universal --python-version 3.11 --no-emit-index-url \
	        --no-header --no-annotate --quiet -o $${asked%.in}.lock; done

audit: install ## ask the vulnerability database about every locked package; what it does not know fails, too (network)
	@test -x build/audit/bin/pip-audit \
	    || { $(BIN)/python -m venv build/audit && build/audit/bin/pip install --quiet pip-audit; } \
	    || { rm -rf build/audit; echo "make audit: pip-audit could not be fetched; a package index is needed" >&2; exit 1; }
	@build/audit/bin/pip-audit --strict --requirement requirements.lock --disable-pip --require-hashes \
	    || { echo "make audit: a package has a known vulnerability, or the database of PyPI could not be asked about it" \
	        "(a mirror may not have it): the lines above say which" >&2; exit 1; }

clean: ## remove everything that make made (the data of brokers and workers is not here)
	@rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	@find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +
