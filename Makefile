# What a newcomer runs. `make help` lists it.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup system lock proto check test up down demo bench bench-scorer budgets soak clients faults fuzz \
	parity-full oracle-full

# The system's own first: distributions build theirs with profile-guided optimisation, who compiles one by hand or with
# pyenv does not unless asked to, and a scorer on such a Python answered up to a fifth fewer calls. It must be able to
# make a virtual environment, for which Debian has a package of its own.
CANDIDATES := /usr/bin/python3.11 /usr/bin/python3.12 python3.11 python3.12 python3
IS_USABLE := import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for each in $(CANDIDATES); do \
	"$$each" -c '$(IS_USABLE)' 2>/dev/null && { command -v "$$each"; break; }; done)
BIN := .venv/bin
PACKAGES := decision_index feature_service stream_processor scorer training telemetry fraudctl loadtests
TYPED := $(PACKAGES) tests protos/*.py

# Programs that must be on PATH or where they are said to be, and the Debian packages they come in.
PROGRAMS := redis-server:redis-server curl:curl java:default-jre-headless mvn:maven \
	/usr/lib/postgresql/*/bin/postgres:postgresql

help:  ## List the targets.
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: .venv/.installed .local/.fetched  ## Everything that the other targets need; nothing to do when it is there.

.venv/.installed: requirements.lock pyproject.toml
	@[ -n "$(PYTHON)" ] && $(PYTHON) -c '$(IS_USABLE)' || \
		{ echo "Python 3.11 or 3.12 with its venv module is needed (Debian: python3.11-venv);" \
			"name one with: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

.local/.fetched: pom.xml .venv/.installed | system
	$(BIN)/python -m fraudctl.cluster.artefacts
	@touch $@

system:
	@missing=""; \
	for pair in $(PROGRAMS); do command -v $${pair%%:*} >/dev/null || missing="$$missing $${pair#*:}"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "Missing on this machine; install with: sudo apt-get install -y$$missing" >&2; exit 1; \
	fi; \
	echo "installing$$missing"; apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null

lock: .venv/.installed  ## Write requirements.lock anew from pyproject.toml.
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --all-extras \
		--python-version 3.11 pyproject.toml -o requirements.lock

proto: .venv/.installed  ## Generate Python from protos/.
	$(BIN)/python protos/generate.py

check: setup  ## Lint, format, types, import rules, freshness of what is generated.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(TYPED)
	$(BIN)/lint-imports
	$(BIN)/python protos/generate.py --check
	$(BIN)/python protos/check_compatibility.py

test: setup  ## All tests, against a real broker and a real Redis.
	$(BIN)/pytest -m "not slow" --numprocesses 2 --dist loadfile  # most of the time is spent waiting for servers

up: setup  ## Start the local cluster and leave it running.
	$(BIN)/fraudctl up

down:  ## Stop the local cluster.
	$(BIN)/fraudctl down

demo: setup  ## Stream payments through the whole system and show what it does; INPUT=file.parquet streams that file.
	$(BIN)/fraudctl demo $(if $(INPUT),--input "$(INPUT)")

bench: setup  ## Measure throughput and latency on this machine, and write the figures as JSON.
	$(BIN)/python -m loadtests.bench

clients: setup  ## Build the clients of docs/clients.md in Go and Java and run them against real scorers.
	$(BIN)/pytest -m slow tests/contract/scorer/test_client_programs.py

faults: setup  ## Inject every fault into a running cluster and compare all there is at the end; about 20 minutes.
	$(BIN)/python -m loadtests.faults
	FRAUD_FENCE_EXAMPLES=2000 $(BIN)/pytest -q tests/contract/stream_processor/test_fence_protocol.py \
		tests/faults/stream_processor

budgets: setup  ## Inject faults around a scorer at 500 calls a second: is every call answered in time; about 12 minutes.
	$(BIN)/python -m loadtests.budgets

bench-scorer: setup  ## Measure a scorer: latency, throughput, processor time, cost, overload; about 11 minutes.
	$(BIN)/python -m loadtests.bench_scorer

soak: setup  ## A scorer at 500 calls a second for 10 minutes: nothing refused, no memory or file kept.
	$(BIN)/python -m loadtests.soak

fuzz: setup  ## Send 137,500 odd and spoilt requests to the servers, open 6,250 hostile connections, and look at them afterwards.
	FRAUD_FUZZ_CALLS=125000 $(BIN)/pytest -q -s tests/contract/scorer/test_fuzz.py tests/contract/feature_service/test_fuzz.py

parity-full: setup  ## Replay INPUT=file.parquet and count feature values that differ between online and offline.
	$(BIN)/python -m loadtests.parity_full $(if $(INPUT),--input "$(INPUT)")

oracle-full: setup  ## Compare the handbook's features of INPUT=file.parquet with a brute-force oracle, on every row.
	$(BIN)/python -m tests.oracle.compare $(if $(INPUT),--input "$(INPUT)")
