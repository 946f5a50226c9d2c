# make demo    everything on this machine: a sample film, links to play it, the admin page
# make proof   puts the whole to the proof: plays, rips, kills, and says what holds
# make test    all tests but the long ones    make check   format, lint, types, all tests
# make soak    the faults in full size, seeking for a minute, the API fuzzed for five, and whether anything grows in MINUTES=10 of playing
# make bench   what it costs beside a bare server; writes deploy/bench/RESULTS.md
# make cache-tests    the http-tests cache suite against a plain edge; what it finds is in docs/zones.md
# make setup   only the set-up, which every target does by itself; the command is then .venv/bin/sluice
.PHONY: setup demo test check bench lock
.DEFAULT_GOAL := setup

py := .venv/bin/python

setup:
	@deploy/setup/setup.sh

.PHONY: setup-dev
setup-dev:
	@deploy/setup/setup.sh --dev

demo: setup
	@.venv/bin/sluice demo $(ARGS)

.PHONY: proof
proof: setup
	@.venv/bin/sluice demo --check $(ARGS)

# Each file of tests runs in one of JOBS processes, in order: what takes long is not last.
tests = $(py) -m pytest -n $(or $(JOBS),2) --dist loadfile --no-loadscope-reorder

test: setup-dev
	$(tests) -m 'not soak and not heavy' $(ARGS)

check: setup-dev
	$(py) -m ruff format --check .
	$(py) -m ruff check .
	$(py) -m mypy
	$(tests)

.PHONY: cache-tests
cache-tests: setup-dev
	@$(py) -m tests.conformance.cache_suite

# The faults in full size; with fewer MINUTES in a part of it.
.PHONY: soak
soak: setup-dev
	@SOAK_MINUTES=$(or $(MINUTES),10) $(py) -m pytest -m soak -v -s --timeout 0 tests/faults tests/journeys $(ARGS)

bench: setup
	@$(py) -m deploy.bench $(ARGS)

# Pins every package anew, with hashes and without index addresses.
lock:
	@deploy/setup/lock.sh
