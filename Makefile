# The only task runner. `make demo` and `make test` are all that a newcomer needs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CARGO ?= cargo
INPUT := tests/data/block_19807080_messages.hex
FORGE := cd contracts && node forge.js

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

contracts/node_modules/.installed: contracts/package-lock.json
	cd contracts && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: tools
tools: contracts/node_modules/.installed ## Install forge, anvil and solc into contracts/node_modules, extract EigenLayer's core
	@cd contracts && node core.js

.PHONY: build
build: ## Build the release binary for this machine's processor (target/release/proofgrid)
	$(CARGO) build --locked --release -p proofgrid-node

.PHONY: portable
portable: ## Build a release binary that runs on any x86-64 or Arm64 (2 to 4 times slower proving)
	RUSTFLAGS="-Ctarget-cpu=generic" $(CARGO) build --locked --release -p proofgrid-node --target-dir target/portable

.PHONY: demo
demo: tools build ## The main job: a whole network on this machine settles two jobs on a real block
	target/release/proofgrid devnet demo --input $(INPUT) --dir target/demo

.PHONY: devnet
devnet: tools build ## Start the same network and leave it running until Ctrl-C
	target/release/proofgrid devnet up --dir target/devnet

.PHONY: fmt
fmt: tools ## Format Rust and Solidity
	$(CARGO) fmt --all
	$(FORGE) fmt

.PHONY: check-format
check-format: tools
	$(CARGO) fmt --all --check
	$(FORGE) fmt --check

.PHONY: lint
lint: ## Clippy over everything, warnings are errors
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

.PHONY: test-contracts
test-contracts: tools ## Forge tests and the drift of the committed ABIs
	$(FORGE) build
	cd contracts && node abi.js --check
	$(FORGE) test

.PHONY: test-rust
test-rust: tools ## All Rust tests, every bench body once, documentation tests
	$(CARGO) test --locked --workspace --all-targets
	$(CARGO) test --locked --workspace --doc
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --quiet

.PHONY: test
test: check-format lint test-contracts test-rust ## Everything that the gate runs

.PHONY: soak
soak: tools ## The long runs of what the gate runs shortly (failing system calls need Debian's fiu-utils)
	$(CARGO) run --locked -p proofgrid-store --example soak
	$(CARGO) test --locked -p proofgrid-tests --test scenarios -- --soak

.PHONY: sim
sim: SEEDS ?= 100000
sim: FROM ?= 0
sim: ## Simulate a whole network under SEEDS=100000 seeds, on all cores (FROM=0 is the first)
	$(CARGO) run --locked -p proofgrid-simulator --bin proofgrid-simulate -- $(SEEDS) $(FROM)

.PHONY: sim-wire
sim-wire: SEEDS ?= 100
sim-wire: FROM ?= 0
sim-wire: ## The same with the real programs on a simulated network, SEEDS=100 of them
	$(CARGO) run --locked -p proofgrid-simulator --bin proofgrid-simulate-wire -- $(SEEDS) $(FROM)

.PHONY: fuzz
fuzz: SECONDS ?= 60
fuzz: ## Fuzz every decoder and verifier for SECONDS=60 each (TARGET=name for one of them)
	PROOFGRID_FUZZ_SECONDS=$(SECONDS) $(CARGO) test --locked -p proofgrid-fuzz --test fuzz -- --nocapture --test-threads=1 $(TARGET)

.PHONY: floods
floods: ## The floods of the dispatcher's tests at 30 times their size (10^5 connections)
	PROOFGRID_FLOOD=30 $(CARGO) test --locked -p proofgrid-dispatcher --test floods -- --nocapture

.PHONY: gen
gen: tools ## Regenerate what is committed: protobuf code, ABIs, shared vectors
	PROOFGRID_REGENERATE=1 $(CARGO) test -p proofgrid-proto --test drift
	PROOFGRID_REGENERATE_VECTORS=1 $(CARGO) test -p proofgrid-core vectors
	PROOFGRID_REGENERATE_VECTORS=1 $(CARGO) test -p proofgrid-programs --test groth16
	$(FORGE) build
	cd contracts && node abi.js

.PHONY: bench
bench: tools ## Full benchmarks (release, an hour); figures go to docs/benchmarks.md
	$(CARGO) build --locked --release -p proofgrid-node
	$(CARGO) bench --locked -p proofgrid-benches
