# Every command a contributor needs. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
DATA ?= $(MNEMATA_EVAL_DATA)
CYCLES ?= 300
MINUTES ?= 10
SEED ?= 0
PORT ?= 8080
MEMORIES ?= .cache/memories
ON_CLUSTERS := $(addprefix tests/contract/test_,search_index.py cluster_index.py facets_and_suggestions.py index_generations.py index_listing.py)

# Behind a proxy with a certificate of its own, the machine's list knows it, uv's own does not.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem),)
export UV_SYSTEM_CERTS ?= true
endif

needs_data = test -n "$(DATA)" || { echo 'Name the folder of the data: make $(1) DATA=folder' >&2; exit 2; }

.PHONY: help run fleet test check fmt bench load scale report eval soak chaos conformance lock install install-dev

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Mnemata needs Python 3.11 or later. Name one: make run PYTHON=python3.11' >&2; exit 1; }
	@echo 'Installing into $(VENV): a minute at the first time.'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# A stamp per lock file: nothing is installed twice, and a changed lock installs again.
# Compiled here: where PYTHONDONTWRITEBYTECODE is set, every start would compile it all again, and take twice the time.
$(VENV)/.installed: locks/default.txt pyproject.toml | $(BIN)/uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r locks/default.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r locks/build.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q src
	@touch $@

$(VENV)/.installed-dev: locks/dev.txt $(VENV)/.installed
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r locks/dev.txt
	@touch $@

$(VENV)/.installed-bench: locks/bench.txt $(VENV)/.installed-dev
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r locks/bench.txt
	@touch $@

install: $(VENV)/.installed ## install what `make run` needs into .venv
install-dev: $(VENV)/.installed-dev ## install what the tests need too

run: $(VENV)/.installed ## start the platform on its embedded defaults, http://127.0.0.1:8080
	@$(BIN)/mnemata serve

fleet: $(VENV)/.installed ## start a fleet on this machine: make fleet PORT=8080 FLEET_DIR=folder
	@deploy/servers/install.sh
	@$(BIN)/python -m deploy.fleet --port $(PORT) $(if $(FLEET_DIR),--folder "$(FLEET_DIR)") $(FLEET_OPTIONS)

# Every check runs, whatever the one before said; one that is content says nothing.
check: $(VENV)/.installed-dev ## lint, format, types, import rules, dependencies
	@failed=0; \
	quietly() { out="$$("$$@" 2>&1)" || { echo "$$out"; failed=1; }; }; \
	quietly $(BIN)/ruff check --quiet src tests benchmarks deploy; \
	quietly $(BIN)/ruff format --quiet --diff src tests benchmarks deploy; \
	quietly $(BIN)/basedpyright --level error; \
	quietly $(BIN)/lint-imports --no-logo --cache-dir $(VENV)/.import_linter_cache; \
	quietly $(BIN)/deptry --no-ansi src; \
	exit $$failed

test: $(VENV)/.installed-dev ## every check and every test, with coverage
	@tests/run.sh

bench: $(VENV)/.installed-bench ## measure speed beside others: make bench DATA=folder
	@$(call needs_data,bench)
	@$(BIN)/python -m benchmarks.speed --data "$(DATA)"

load: $(VENV)/.installed-dev ## more and more clients at once, until more bring no more: make load DATA=folder
	@$(call needs_data,load)
	@$(BIN)/python -m benchmarks.load --data "$(DATA)"

scale: $(VENV)/.installed-dev ## a million memories, kept in a folder between calls: make scale DATA=folder MEMORIES=folder
	@$(call needs_data,scale)
	@$(BIN)/python -m benchmarks.scale --data "$(DATA)" --folder "$(MEMORIES)"

report: $(VENV)/.installed-dev ## write docs/performance-report.md from what the benches left
	@$(BIN)/python -m benchmarks.report

eval: $(VENV)/.installed-dev ## measure relevance: make eval DATA=folder
	@$(call needs_data,eval)
	@$(BIN)/python -m benchmarks.relevance --data "$(DATA)"

soak: $(VENV)/.installed-dev ## kill every process under load, again and again: make soak CYCLES=300
	@$(BIN)/python -m benchmarks.soak --cycles $(CYCLES)

chaos: $(VENV)/.installed-dev ## a storm of faults over a fleet under load: make chaos MINUTES=10 SEED=7
	@deploy/servers/install.sh
	@$(BIN)/python -m benchmarks.chaos --minutes $(MINUTES) --seed $(SEED)

# Facets, suggestions and generations too; what it says of the local index is in `make test`.
conformance: $(VENV)/.installed-dev ## the search index's contract on clusters of three nodes, both kinds
	@deploy/servers/install.sh
	@set -e; for kind in elasticsearch opensearch; do \
		$(BIN)/python -m deploy.servers.search_cluster --kind $$kind --nodes 3 -- \
			$(BIN)/python -m pytest -k $$kind $(ON_CLUSTERS); \
	done

fmt: $(VENV)/.installed-dev ## format the code and mend what the linter can
	@$(BIN)/ruff format src tests benchmarks deploy
	@$(BIN)/ruff check --fix --quiet src tests benchmarks deploy

lock: | $(BIN)/uv ## resolve the lock files again from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 pyproject.toml -o locks/default.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 pyproject.toml --group dev -c locks/default.txt -o locks/dev.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 pyproject.toml --group dev --group bench -c locks/dev.txt -o locks/bench.txt
	@echo -e 'hatchling==1.27.0\neditables' | $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 -c locks/default.txt - -o locks/build.txt
