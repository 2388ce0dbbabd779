# What a developer types; continuous integration runs `make test`. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
CARGO_DENY_VERSION := 0.20.2
CARGO_FUZZ_VERSION := 0.13.2
FUZZ_TARGETS := $(basename $(notdir $(wildcard fuzz/targets/*.rs)))
FUZZ_SECONDS ?= 60
TOOLS := $(CURDIR)/target/tools
CLIENTS := $(CURDIR)/target/clients
DENY := $(TOOLS)/bin/cargo-deny --locked --config .deny.toml

.PHONY: help run native check fmt lint tidy deny test prepare test-long fuzz fuzz-keep bench bench-shadow

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: ## serve routes.toml: no key and no network needed
	$(CARGO) run --release --locked

native: prepare ## dimmer with Prometheus and PostgreSQL on this machine, without containers
	$(CARGO) build --locked --release --bin dimmer
	deploy/native/start --postgres

check: fmt lint tidy deny ## format, lints, house rules, licences and advisories; before each commit
	@echo "make check: all good"

fmt:
	$(CARGO) fmt --check

lint:
	$(CARGO) clippy --locked --all-targets -- -D warnings

tidy:
	$(CARGO) test --locked --quiet --test it -- tidy::

deny: $(TOOLS)/.cargo-deny-$(CARGO_DENY_VERSION)
	$(DENY) check --hide-inclusion-graph bans licenses sources
	@if timeout 120 $(DENY) fetch db >target/tools/advisories.log 2>&1; then \
	    $(DENY) --offline check --hide-inclusion-graph advisories; \
	else \
	    echo "make deny: the advisory database cannot be fetched from here, so advisories were NOT checked (target/tools/advisories.log)"; \
	fi

$(TOOLS)/.cargo-deny-$(CARGO_DENY_VERSION):
	$(CARGO) install --locked --root $(TOOLS) --target-dir $(TOOLS)/build --version $(CARGO_DENY_VERSION) cargo-deny
	touch $@

test: prepare ## every test, with the real SDKs and Prometheus; sets itself up
	$(CARGO) build --locked --release --bin dimmer
	DIMMER_TEST_CLIENTS=$(CLIENTS) DIMMER_TEST_RELEASE=$(CURDIR)/target/release/dimmer $(CARGO) test --locked
	@echo "make test: all tests passed"

prepare: ## what make test needs: SDKs, Node, Prometheus (target/clients)
	tests/clients/prepare $(CLIENTS)

test-long: prepare fuzz ## make test with ten times as many property cases, a hundred times the storm, ten times the kill -9, the 2,000 simulations of each statistical promise, in a release build, and fuzzing
	tests/oracles/run $(CURDIR)/target/oracles
	DIMMER_TEST_CLIENTS=$(CLIENTS) PROPTEST_CASES=$${PROPTEST_CASES:-2560} STORM_REQUESTS=$${STORM_REQUESTS:-300000} KILL_ROUNDS=$${KILL_ROUNDS:-200} STATS_RUNS=$${STATS_RUNS:-2000} DIMMER_TEST_LONG=1 $(CARGO) test --locked --release
	@echo "make test-long: all tests passed"

# On stable Rust: coverage guides it, no sanitizer watches, which safe code can do without.
fuzz: $(TOOLS)/.cargo-fuzz-$(CARGO_FUZZ_VERSION) ## a minute for each target of fuzz/ (FUZZ_SECONDS=60)
	@for target in $(FUZZ_TARGETS); do \
	    mkdir -p fuzz/target/found/$$target; \
	    $(TOOLS)/bin/cargo-fuzz fuzz run --sanitizer none $$target fuzz/target/found/$$target fuzz/corpus/$$target -- \
	        -max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=65536 -dict=fuzz/dict/$$target.dict -print_final_stats=1 -verbosity=0; \
	done
	@echo "make fuzz: no promise was broken"

# An input goes into the corpus where it reaches code that none of the others reaches. Short ones first, under short names.
fuzz-keep: $(TOOLS)/.cargo-fuzz-$(CARGO_FUZZ_VERSION) ## what make fuzz found goes into fuzz/corpus
	@for target in $(FUZZ_TARGETS); do \
	    mkdir -p fuzz/target/found/$$target; \
	    $(TOOLS)/bin/cargo-fuzz fuzz run --sanitizer none $$target fuzz/corpus/$$target fuzz/target/found/$$target -- \
	        -merge=1 -use_counters=0 -timeout=10 -max_len=4096 -verbosity=0; \
	    for file in $$(cd fuzz/corpus/$$target && ls | grep -E '^[0-9a-f]{40}$$' || true); do \
	        mv fuzz/corpus/$$target/$$file fuzz/corpus/$$target/$${file:0:10}; \
	    done; \
	done

$(TOOLS)/.cargo-fuzz-$(CARGO_FUZZ_VERSION):
	$(CARGO) install --locked --root $(TOOLS) --target-dir $(TOOLS)/build --version $(CARGO_FUZZ_VERSION) cargo-fuzz
	touch $@

bench: ## what dimmer costs beside a bare hyper proxy (3 minutes; ARGS=--quick: 1)
	$(CARGO) bench --locked --bench proxy -- $(ARGS)

bench-shadow: ## what a caller feels of a shadow whose candidate hangs: nothing (1 minute)
	$(CARGO) bench --locked --bench shadow
