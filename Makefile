# SPDX-License-Identifier: Apache-2.0
# `make` builds; `make demo` shows a container; `make test` runs every test.

CARGO ?= cargo
# The directory of programs that cargo builds for this machine (.cargo/config.toml names the target).
TARGET := $(shell rustc -vV | sed -n 's/^host: //p')
BUILT := target/$(TARGET)
# Containers, and the tests that make them, need root.
SUDO := $(shell test "$$(id -u)" = 0 || echo sudo -E env "PATH=$$PATH")
# Mounts of tests must not appear on the host.
ISOLATED := $(SUDO) unshare --mount --propagation private
# The target of the program: PRODUCT=x86_64-unknown-linux-gnu builds with the host's C library.
PRODUCT ?= $(shell .ci/product)
PROGRAM := target/runtime-cli
RUNTIME ?= $(PROGRAM)

# Builds a program of a release. No directory of this machine is in it.
RELEASE = product=$(PRODUCT) && paths=$$(packaging/paths $$product) && \
	$(CARGO) --config "target.$$product.rustflags=$$paths" build --release --target $$product

.PHONY: all
all:
	$(RELEASE) -p runtime-cli && \
		ln -f target/$$product/release/runtime-cli $(PROGRAM)

# Builds containerd's shim (docs/shim.md).
SHIM := target/containerd-shim-runtime-core-v2
.PHONY: shim install-shim
shim:
	$(RELEASE) -p runtime-shim && \
		ln -f target/$$product/release/$(notdir $(SHIM)) $(SHIM)

install-shim: shim
	install -D -m 755 $(SHIM) $(DESTDIR)$(PREFIX)/bin/$(notdir $(SHIM))
	install -D -m 644 -t $(SHARE)/man/man8 runtime-shim/$(notdir $(SHIM)).8
	$(call examples,runtime-shim)

# Makes man pages and completions from the table of arguments, in target/reference.
.PHONY: reference
reference:
	$(CARGO) run --quiet -p runtime-cli --example reference target/reference

.PHONY: install
PREFIX ?= /usr/local
SHARE = $(DESTDIR)$(PREFIX)/share
# Installs the engines' configuration of a program, which names its path.
examples = cd packaging/examples/$(1) && find . -type f | while read -r file; do \
	install -D -m 644 "$$file" "$(abspath $(SHARE)/doc/$(1)/examples)/$$file" && \
	sed -i 's|/usr/local/bin/|$(PREFIX)/bin/|' "$(abspath $(SHARE)/doc/$(1)/examples)/$$file" || exit; done
install: all reference
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/runtime-cli
	install -D -m 644 -t $(SHARE)/man/man8 target/reference/man/*.8
	install -D -m 644 target/reference/completions/runtime-cli.bash $(SHARE)/bash-completion/completions/runtime-cli
	install -D -m 644 -t $(SHARE)/zsh/site-functions target/reference/completions/_runtime-cli
	install -D -m 644 -t $(SHARE)/fish/vendor_completions.d target/reference/completions/runtime-cli.fish
	$(call examples,runtime-cli)

# Makes .deb, .rpm, a tarball with licence texts and bills of materials, and their checksums, in target/packages
# (docs/install.md). It needs dpkg, rpmbuild (Debian: rpm), python3 and git.
.PHONY: packages packages-test reproducible
packages: all shim reference
	PRODUCT=$(PRODUCT) packaging/build

# Tests the packages in directories of their own.
packages-test:
	$(ISOLATED) packaging/test

# Tests the packages in the virtual machine, as an upgrade from the programs OLD and OLD_SHIM.
.PHONY: packages-vm-test
packages-vm-test: packages
	$(SUDO) conformance/vm/image engines
	packaging/vm-test $(OLD) $(OLD_SHIM)

# Builds the commit twice, in different directories, and compares the packages.
reproducible:
	packaging/reproducible

# --- demonstration ---

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

# Runs lint and the tests of pure code, before a commit: no VM, no root, a minute if everything is
# built. An unprivileged user runs them as root of a user namespace, which cannot make cgroups.
UNIT := --workspace --lib --bin runtime-cli --bin containerd-shim-runtime-core-v2 --bin bench --bin probe --examples
RUNNER := CARGO_TARGET_$(shell echo $(TARGET) | tr a-z- A-Z_)_RUNNER
ifeq ($(SUDO),)
UNSHARE := unshare --mount --propagation private
else
UNSHARE := unshare --map-root-user --mount --pid --fork --mount-proc --propagation private
NOT_FOR_USERS := --skip cgroup::leaf::tests::a_name_that_is_taken_is_an_error \
	--skip cgroup::leaf::tests::the_process_is_in_a_new_cgroup_below \
	--skip cgroup::group::tests::a_removed_cgroup_has_no_processes \
	--skip ops::transaction::tests::a_create_that_goes_on_after_its_deletion_leaves_no_cgroup \
	--skip ops::transaction::tests::another_container_with_the_id_keeps_its_cgroup
endif
.PHONY: check
check: lint
	$(RUNNER)="$(UNSHARE)" $(CARGO) test --quiet $(UNIT) -- $(NOT_FOR_USERS)
	$(CARGO) test --quiet --workspace --doc

# Checks that libraries and programs compile with the oldest Rust that Cargo.toml promises.
MSRV := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
.PHONY: msrv
msrv:
	rustup toolchain install --no-self-update --profile minimal $(MSRV)
	$(CARGO) +$(MSRV) check --quiet --locked --workspace --lib --bins --features runtime-core/tokio --target-dir target/msrv

# Writes the public items of the libraries to docs/api. `public-api-check` compares them instead.
API := conformance/public-api
# The name of the library seccomp is that of another project on crates.io.
LIBRARIES := runtime-core seccomp
LIBRARY_PACKAGES := runtime-core runtime-seccomp
.PHONY: public-api public-api-check
public-api: LISTINGS = docs/api
public-api-check: LISTINGS = target/public-api
public-api public-api-check:
	cd $(API) && rustc --version | grep --quiet '^rustc 1.95.0 ' || \
		{ echo "the listing of public items needs Rust 1.95.0 (rust-toolchain.toml)"; exit 1; }
	cd $(API) && RUSTDOC=./rustdoc RUSTDOCFLAGS="-Z unstable-options --output-format json" \
		$(CARGO) doc --quiet --manifest-path ../../Cargo.toml --target-dir ../../target \
		--no-deps $(addprefix -p ,$(LIBRARY_PACKAGES)) --features tokio
	mkdir -p $(LISTINGS)
	for library in $(LIBRARIES); do (cd $(API) && $(CARGO) run --locked --quiet -- \
		../../target/$(TARGET)/doc/$$(echo $$library | tr - _).json) >$(LISTINGS)/$$library.txt || exit; done
	diff -u docs/api $(LISTINGS) || { echo "the public items have changed: make public-api"; exit 1; }

# Makes the packages of the libraries for crates.io, without an upload, and builds each from its package.
.PHONY: publish-check
publish-check:
	$(CARGO) publish --dry-run --locked $(addprefix -p ,runtime-seccomp runtime-sys runtime-core)

# Compares the public items of the libraries with those of the newest tag v*, by semantic versioning.
.PHONY: semver
semver:
	.ci/semver

# The program, if it is the runtime to test.
OURS := $(if $(filter $(PROGRAM),$(RUNTIME)),all)

# Runs the conformance cases on any runtime: make conformance RUNTIME=/usr/bin/runc
.PHONY: conformance
conformance: $(OURS)
	$(CARGO) build --quiet -p conformance --all-targets
	$(ISOLATED) env RUNTIME=$(abspath $(RUNTIME)) $(CARGO) test --quiet -p conformance --test cases

# Attacks any runtime: make attacks TRIES=10000 RUNTIME=/usr/bin/runc
TRIES ?= 300
.PHONY: attacks
attacks: $(OURS)
	$(CARGO) build --quiet -p conformance --all-targets
	$(ISOLATED) env RUNTIME=$(abspath $(RUNTIME)) TRIES=$(TRIES) $(CARGO) test --quiet -p conformance --test attacks

# Compares size, system calls and memory with the goals of docs/performance.md.
.PHONY: budget
budget: all
	$(CARGO) build --quiet -p conformance --bins
	$(ISOLATED) env RUNTIME=$(abspath $(RUNTIME)) $(CARGO) test --quiet -p conformance --test budget

# Makes docs/troubleshooting.md from runtime-cli/tests/troubleshooting/list.rs.
.PHONY: troubleshooting
troubleshooting:
	UPDATE=1 $(CARGO) test --quiet -p runtime-cli --test troubleshooting -- the_page_is_made

# Writes the totals of conformance/requirements.tsv into docs/conformance.md.
.PHONY: requirements
requirements:
	$(CARGO) run --quiet -p conformance --bin table requirements

# Writes the tables of docs/conformance.md and docs/conformance/cases.md:
# make conformance-table RUNTIMES="/usr/bin/runc /usr/bin/crun"
.PHONY: conformance-table
conformance-table: all
	$(CARGO) build --quiet -p conformance --all-targets
	$(SUDO) $(BUILT)/debug/table docs/conformance.md docs/conformance/cases.md $(RUNTIMES) ours=$(PROGRAM)

# --- in a virtual machine: Debian 13, systemd, all controllers (docs/vm.md) ---

.PHONY: vm-deps
vm-deps:
	$(SUDO) conformance/vm/host-packages

# Runs any tests of the workspace: make vm-test TESTS='-p conformance --test cases -- lifecycle'
# With another of Debian's kernels: KERNEL=6.1, 6.12 or 7.2.
TESTS ?= -p runtime-core -p runtime-cli -p conformance --test '*'
KERNEL ?=
.PHONY: vm-test
vm-test: export VM_KERNEL = $(KERNEL)
vm-test: all
	$(SUDO) env VM_KERNEL=$(KERNEL) conformance/vm/image base
	RUNTIME=$(abspath $(RUNTIME)) conformance/vm/test $(TESTS)

# Tests the runtime with Debian's engines (docs/engines.md): make engines-test ENGINES='docker podman'
# Without a VM, in a Debian system in a directory: make engines-test TREE=/var/tmp/engines
ENGINES ?=
TREE ?=
.PHONY: engines-test
engines-test: all shim
ifeq ($(TREE),)
	$(SUDO) conformance/vm/image engines
	RUNTIME=$(abspath $(RUNTIME)) SHIM=$(abspath $(SHIM)) conformance/engines/test $(ENGINES)
else
	$(SUDO) env RUNTIME=$(abspath $(RUNTIME)) SHIM=$(abspath $(SHIM)) conformance/engines/native $(TREE) $(ENGINES)
endif

# Compares containers of this runtime, crun and runc, made by Podman and Docker with the same flags:
# an hour in the VM, minutes with TREE.
.PHONY: engines-diff
engines-diff: export TIMEOUT = 7200
engines-diff: ENGINES = diff diff-rootless
engines-diff: engines-test

# Checks the crates of the program: licences, sources, duplicates, and the table of
# docs/decisions/supply-chain.md. With access to the database: make deny CHECKS=advisories
CHECKS ?= licenses sources bans
.PHONY: deny
deny:
	.ci/supply-chain $(CHECKS)

# --- measurements: make bench RUNTIMES="/usr/bin/crun /usr/sbin/runc" ---

# The other runtimes to test and to measure, as PATH or NAME=PATH.
RUNTIMES ?= $(wildcard /usr/bin/crun /usr/bin/runc /usr/sbin/runc /usr/bin/youki)
ROUNDS ?= 40
.PHONY: bench
bench: all
	$(CARGO) build --quiet --release -p conformance --bin floor --bin nothing
	$(RELEASE) --quiet -p conformance --bins && \
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
# The flags of cargo-fuzz on a stable toolchain (without sanitizers).
COVERAGE := -Cpasses=sancov-module -Ccodegen-units=1 --cfg fuzzing \
	-Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
	-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares

fuzz-%:
	mkdir -p fuzz/corpus/$* fuzz/artifacts
	cd fuzz && RUSTFLAGS="$(COVERAGE)" $(CARGO) run --release --quiet --target $(TARGET) --bin $* -- \
		-max_total_time=$(SECONDS) -artifact_prefix=artifacts/ corpus/$* seeds/$*

# Runs every target once with its seeds, without new inputs. A target without seeds fails. libFuzzer
# looks for sanitizers through the dynamic linker, so these programs cannot be static: no flags.
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
	rm -rf fuzz/target conformance/mutants/target conformance/outside/target $(API)/target
