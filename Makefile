# What a developer types; continuous integration runs `make test`. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
CARGO_DENY_VERSION := 0.20.2
TOOLS := $(CURDIR)/target/tools
CLIENTS := $(CURDIR)/target/clients
DENY := $(TOOLS)/bin/cargo-deny --locked --config .deny.toml

.PHONY: help run check fmt lint tidy deny test prepare test-long bench

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: ## serve routes.toml: no key and no network needed
	$(CARGO) run --release --locked

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

test-long: prepare ## make test with ten times as many property cases, in a release build
	DIMMER_TEST_CLIENTS=$(CLIENTS) PROPTEST_CASES=$${PROPTEST_CASES:-2560} $(CARGO) test --locked --release
	@echo "make test-long: all tests passed"

bench: ## what dimmer costs beside a bare hyper proxy (3 minutes; ARGS=--quick: 1)
	$(CARGO) bench --locked --bench proxy -- $(ARGS)
