# The menu. Each target is a few lines; what needs thinking is in xtask/ and in the tests. See docs/development.md.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help deps build demo test test-shells test-api test-faults test-images test-stress bench-check bench-accept soak test-kernels check audit contract fmt sdk-python install clean

PREFIX ?= /usr/local
MUSL := $(shell uname -m)-unknown-linux-musl
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
BINARY := bin/sandkasten
XTASK := cargo run --quiet --locked --package xtask --
ENDURANCE := cargo test --locked --package sandkasten-e2e --test endurance -- --show-output
ACCEPTED := docs/accepted-figures.json
# On a data directory of its own, so that no configuration of this host changes the figures.
BENCH = data=$$(mktemp -d /var/tmp/sandkasten-bench.XXXXXX); trap 'rm -rf "$$data"' EXIT; \
	env -i PATH="$$PATH" SANDKASTEN_DATA_DIR="$$data" $(BINARY) bench --config /dev/null \
	--only sessions,exec,files,parallel,memory,cpu,density
# What the test programs are told: `make test TEST_FLAGS=--show-output`.
TEST_FLAGS ?=

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

deps: ## install what is missing for check and test: rustfmt, clippy, cargo-deny
	cargo fmt --version || rustup component add rustfmt
	cargo clippy --version || rustup component add clippy
	cargo deny --version || cargo install --locked cargo-deny
	@command -v mmdebstrap || echo "mmdebstrap is not installed: tests on a Debian image will say SKIP (apt-get install mmdebstrap)"

build: ## build the release binary: bin/sandkasten
	@# Sandboxes start sooner with this one; the build goes on without it.
	@rustup target list --installed 2>/dev/null | grep -qx "$(MUSL)" || timeout 120 rustup target add "$(MUSL)" || true
	cargo build --release --locked --package sandkasten
	mkdir -p bin
	install -C -m 0755 "$(TARGET_DIR)/release/sandkasten" $(BINARY)

demo: build ## run a Python program in a sandbox, and say what isolates it (as root)
	@[ "$$(id -u)" = 0 ] || { echo "make demo: building sandboxes needs root; run: sudo make demo" >&2; exit 1; }
	@[ -x /usr/bin/python3 ] || { echo "make demo: this host has no /usr/bin/python3 for the image host; install python3" >&2; exit 1; }
	@data=$$(mktemp -d /var/tmp/sandkasten-demo.XXXXXX); trap 'rm -rf "$$data"' EXIT; \
	env -i PATH="$$PATH" SANDKASTEN_DATA_DIR="$$data" SANDKASTEN_LISTEN="unix:$$data/none.sock" \
	$(BINARY) run --config /dev/null --report --image host -- /usr/bin/python3 -c "$$(cat docs/demo.py)"

test: build ## run all tests, the end-to-end ones against bin/sandkasten (as root)
	$(XTASK) contract --check --binary $(BINARY)
	cargo test --workspace --locked --no-fail-fast -- $(TEST_FLAGS)

test-shells: build ## draw CASES=1000 sequences of commands for each shell, of a new seed (as root)
	SANDKASTEN_E2E_CASES=$(or $(CASES),1000) cargo test --locked --package sandkasten-e2e --test shell -- $(TEST_FLAGS)

test-api: build ## draw REQUESTS=200 requests for each operation of the API from its document, of a new seed (as root)
	SANDKASTEN_E2E_REQUESTS=$(or $(REQUESTS),200) cargo test --locked --package sandkasten-e2e --test openapi -- $(TEST_FLAGS)

test-images: ## draw and damage images and references for SECONDS=600, of a new seed, and hold them against a model (as root)
	SANDKASTEN_IMAGE_SECONDS=$(or $(SECONDS),600) cargo test --locked --package sandkasten-image --package sandkasten-registry --lib drawn -- --show-output $(TEST_FLAGS)

test-faults: build ## kill the daemon ROUNDS=200 times under load, and compare (as root)
	SANDKASTEN_E2E_FAULTS=$(or $(ROUNDS),200) $(ENDURANCE) faults

test-stress: build ## strain a session SECONDS=20 each way; the daemon has to answer within 50 ms (as root)
	SANDKASTEN_E2E_STRESS=$(or $(SECONDS),20) $(ENDURANCE) stress

bench-check: build ## measure, and fail where a figure is worse than the accepted one (as root, on a quiet machine)
	@[ -e $(ACCEPTED) ] || { echo "make bench-check: there is no $(ACCEPTED) yet; record it: make bench-accept" >&2; exit 1; }
	$(BENCH) --compare $(ACCEPTED)

bench-accept: build ## measure, and accept the figures: look at what changed before it is committed (as root, on a quiet machine)
	$(BENCH) --json > $(TARGET_DIR)/accepted-figures.json
	install -m 0644 $(TARGET_DIR)/accepted-figures.json $(ACCEPTED)

soak: build ## make, use and destroy CYCLES=10000 sessions; the daemon has to stay small (as root)
	SANDKASTEN_E2E_SOAK=$(or $(CYCLES),10000) $(ENDURANCE) soak

test-kernels: build ## test bin/sandkasten on Debian's kernel in QEMU, with cgroups v2 alone and v1 alone (as root)
	e2e/kernels/run $(BINARY) $(TEST_FLAGS)

check: ## format, lints, documentation, rules of the tree, licences of dependencies
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --locked --quiet
	$(XTASK) tidy
	$(XTASK) contract --check
	@if cargo deny --version 2>/dev/null; then cargo deny --locked check licenses bans sources; \
	else echo "cargo-deny is not installed: licences, bans and sources are not checked (make deps)"; fi

audit: ## look for known vulnerabilities; fetches the advisory database
	cargo deny --locked check advisories

contract: build ## write the generated documents in docs/contract/
	$(XTASK) contract --binary $(BINARY)

fmt: ## format the sources
	cargo fmt --all

sdk-python: ## build the Python package into sdk/python/dist
	python3 -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir sdk/python/dist ./sdk/python

install: build ## install the binary to $(PREFIX)/bin
	install -D -m 0755 $(BINARY) "$(DESTDIR)$(PREFIX)/bin/sandkasten"

clean: ## remove everything that was built
	cargo clean
	rm -rf bin
