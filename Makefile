# SPDX-License-Identifier: Apache-2.0
# `make` builds; `make demo` shows a container; `make test` runs every test.

CARGO ?= cargo
# Where cargo puts what it builds for this machine (.cargo/config.toml names the target).
TARGET := $(shell rustc -vV | sed -n 's/^host: //p')
BUILT := target/$(TARGET)
# Containers, and the tests that make them, need root.
SUDO := $(shell test "$$(id -u)" = 0 || echo sudo -E env "PATH=$$PATH")
# Nothing that a test mounts may show on the host.
ISOLATED := $(SUDO) unshare --mount --propagation private
# What is built: make PRODUCT=x86_64-unknown-linux-gnu takes the host's C library.
PRODUCT ?= $(shell .ci/product)
PROGRAM := target/runtime-cli
RUNTIME ?= $(PROGRAM)

.PHONY: all
all:
	product=$(PRODUCT) && $(CARGO) build --release -p runtime-cli --target $$product && \
		ln -f target/$$product/release/runtime-cli $(PROGRAM)

# Man pages and completions, from the table of arguments: target/reference.
.PHONY: reference
reference:
	$(CARGO) run --quiet -p runtime-cli --example reference target/reference

.PHONY: install
PREFIX ?= /usr/local
SHARE = $(DESTDIR)$(PREFIX)/share
install: all reference
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/runtime-cli
	install -D -m 644 -t $(SHARE)/man/man8 target/reference/man/*.8
	install -D -m 644 target/reference/completions/runtime-cli.bash $(SHARE)/bash-completion/completions/runtime-cli
	install -D -m 644 -t $(SHARE)/zsh/site-functions target/reference/completions/_runtime-cli
	install -D -m 644 -t $(SHARE)/fish/vendor_completions.d target/reference/completions/runtime-cli.fish

# --- a container to look at ---

.PHONY: demo
demo: all
	$(SUDO) conformance/demo.sh $(PROGRAM)

# --- tests ---

.PHONY: test
test:
	.ci/test

.PHONY: lint
lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --quiet

# The same and the tests of pure code, before a commit: no VM, no root, a minute on a warm tree. A
# user is root of a user namespace for it, where only cgroups cannot be made.
UNIT := --workspace --lib --bin runtime-cli --bin bench --bin probe --examples
RUNNER := CARGO_TARGET_$(shell echo $(TARGET) | tr a-z- A-Z_)_RUNNER
ifeq ($(SUDO),)
UNSHARE := unshare --mount --propagation private
else
UNSHARE := unshare --map-root-user --mount --pid --fork --mount-proc --propagation private
NOT_FOR_USERS := --skip cgroup::leaf::tests::a_name_that_cannot_be_had_is_an_error \
	--skip cgroup::leaf::tests::the_process_is_in_a_new_cgroup_below \
	--skip cgroup::group::tests::nothing_is_in_a_cgroup_that_somebody_has_removed
endif
.PHONY: check
check: lint
	$(RUNNER)="$(UNSHARE)" $(CARGO) test --quiet $(UNIT) -- $(NOT_FOR_USERS)
	$(CARGO) test --quiet --workspace --doc

# The program, if it is the runtime to test.
OURS := $(if $(filter $(PROGRAM),$(RUNTIME)),all)

# The conformance cases for any runtime: make conformance RUNTIME=/usr/bin/runc
.PHONY: conformance
conformance: $(OURS)
	$(CARGO) build --quiet -p conformance --all-targets
	$(ISOLATED) env RUNTIME=$(abspath $(RUNTIME)) $(CARGO) test --quiet -p conformance --test cases

# The attacks on any runtime: make attacks TRIES=10000 RUNTIME=/usr/bin/runc
TRIES ?= 300
.PHONY: attacks
attacks: $(OURS)
	$(CARGO) build --quiet -p conformance --all-targets
	$(ISOLATED) env RUNTIME=$(abspath $(RUNTIME)) TRIES=$(TRIES) $(CARGO) test --quiet -p conformance --test attacks

# Size, system calls and memory, against what is promised (docs/performance.md).
.PHONY: budget
budget: all
	$(CARGO) build --quiet -p conformance --bins
	$(ISOLATED) env RUNTIME=$(abspath $(RUNTIME)) $(CARGO) test --quiet -p conformance --test budget

# The numbers of conformance/requirements.tsv, in docs/conformance.md.
.PHONY: requirements
requirements:
	$(CARGO) run --quiet -p conformance --bin table requirements

# The tables of docs/conformance.md and docs/conformance/cases.md: make conformance-table RUNTIMES="/usr/bin/runc /usr/bin/crun"
.PHONY: conformance-table
conformance-table: all
	$(CARGO) build --quiet -p conformance --all-targets
	$(SUDO) $(BUILT)/debug/table docs/conformance.md docs/conformance/cases.md $(RUNTIMES) ours=$(PROGRAM)

# --- in a virtual machine: Debian 13, systemd, all controllers (docs/vm.md) ---

.PHONY: vm-deps
vm-deps:
	$(SUDO) conformance/vm/host-packages

# Any tests of the workspace: make vm-test TESTS='-p conformance --test cases -- lifecycle'
TESTS ?= -p runtime-core -p runtime-cli -p conformance --test '*'
.PHONY: vm-test
vm-test: all
	$(SUDO) conformance/vm/image base
	RUNTIME=$(abspath $(RUNTIME)) conformance/vm/test $(TESTS)

# The engines of Debian, driving the runtime (docs/engines.md): make engines-test ENGINES='docker podman'
ENGINES ?=
.PHONY: engines-test
engines-test: all
	$(SUDO) conformance/vm/image engines
	RUNTIME=$(abspath $(RUNTIME)) conformance/engines/test $(ENGINES)

# What crun, runc and ours make of the same flags of Podman and Docker, in the VM: an hour. In
# minutes here, in a Debian that is made in a directory: make engines-diff TREE=/var/tmp/engines
TREE ?=
.PHONY: engines-diff
engines-diff: all
ifeq ($(TREE),)
	$(SUDO) conformance/vm/image engines
	TIMEOUT=7200 RUNTIME=$(abspath $(RUNTIME)) conformance/engines/test diff diff-rootless
else
	$(SUDO) env RUNTIME=$(abspath $(RUNTIME)) conformance/engines/native $(TREE)
endif

# What the program is built from: licences, sources, duplicates, and the table of
# docs/decisions/supply-chain.md. Where its database can be had: make deny CHECKS=advisories
CHECKS ?= licenses sources bans
.PHONY: deny
deny:
	.ci/supply-chain $(CHECKS)

# --- measurements: make bench RUNTIMES="/usr/bin/crun /usr/sbin/runc" ---

# The runtimes to judge and to measure beside ours, as PATH or NAME=PATH.
RUNTIMES ?= $(wildcard /usr/bin/crun /usr/bin/runc /usr/sbin/runc /usr/bin/youki)
ROUNDS ?= 40
.PHONY: bench
bench: all
	$(CARGO) build --quiet --release -p conformance --bin floor --bin nothing
	product=$(PRODUCT) && $(CARGO) build --quiet --release -p conformance --bins --target $$product && \
		$(SUDO) target/$$product/release/bench --rounds $(ROUNDS) --json target/bench.json \
		--markdown target/bench.md --svg target/bench --measures host=$(BUILT)/release ours=$(PROGRAM) $(RUNTIMES)

# --- mutants: make mutants SAMPLE=100 FOLDERS=config (docs/mutants.md) ---

SEED ?= 1
SAMPLE ?= 80
FOLDERS ?= config prepare child boundary
.PHONY: mutants
mutants:
	$(CARGO) build --quiet --manifest-path conformance/mutants/Cargo.toml
	mkdir -p target/mutants
	$(SUDO) conformance/mutants/box $(abspath target/mutants) \
		conformance/mutants/$(BUILT)/debug/mutants $(abspath target/mutants) --seed $(SEED) --sample $(SAMPLE) $(FOLDERS)

# --- fuzzing: make fuzz-config SECONDS=600 ---

SECONDS ?= 60
# What cargo-fuzz passes on a stable toolchain (without sanitizers).
COVERAGE := -Cpasses=sancov-module -Ccodegen-units=1 --cfg fuzzing \
	-Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
	-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares

fuzz-%:
	mkdir -p fuzz/corpus/$* fuzz/artifacts
	cd fuzz && RUSTFLAGS="$(COVERAGE)" $(CARGO) run --release --quiet --target $(TARGET) --bin $* -- \
		-max_total_time=$(SECONDS) -artifact_prefix=artifacts/ corpus/$* seeds/$*

# Every target once over its seeds, without looking for more. One without seeds fails. libFuzzer
# asks the dynamic linker which sanitizers there are, so these programs cannot be static: no flags.
.PHONY: fuzz-seeds
fuzz-seeds:
	cd fuzz && RUSTFLAGS= $(CARGO) build --release --quiet
	cd fuzz && for target in targets/*.rs; do \
		target=$$(basename $$target .rs) && ls seeds/$$target/* >/dev/null && \
		$(BUILT)/release/$$target seeds/$$target/* >/dev/null 2>&1 || { echo "fuzz target $$target fails"; exit 1; }; \
	done

.PHONY: clean
clean:
	$(CARGO) clean
	rm -rf fuzz/target conformance/mutants/target
