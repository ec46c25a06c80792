# Everything that is built, checked or installed goes through here; it only calls cargo and scripts.
PREFIX  ?= /usr
DESTDIR ?=
CARGO   ?= cargo

HOST    := $(shell rustc -vV | sed -n 's/^host: //p')
OUT     := $(or $(CARGO_TARGET_DIR),target)
HOOK    := $(OUT)/$(HOST)/hook/runsecrets-hook
# Static and under 1 MiB: it runs at every container start. What it leaves out is in packaging/hook.ld.
HOOK_FLAGS := -C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs \
	-C link-arg=-Wl,--no-eh-frame-hdr -C link-arg=-Wl,-T,$(CURDIR)/packaging/hook.ld

.PHONY: help deps build hook test check bench demo fmt install

help: ## Show this
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

deps: ## Install what the tests and the demo call (Debian, as root)
	.ci/deps

hook: ## Build the hook alone, static
	RUSTFLAGS="$(HOOK_FLAGS)" $(CARGO) build --locked --profile hook --no-default-features --bin runsecrets-hook --target $(HOST)

build: hook ## Build the four programs as they are released
	$(CARGO) build --locked --release --bin runsecrets --bin runsecrets-agent --bin runsecrets-runtime

test: deps ## Run every test, against real runtimes (as root)
	$(CARGO) test --locked

check: ## Format, lints, documentation, licences and advisories
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --no-default-features --lib --bins -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items --lib
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --locked check --config .ci/deny.toml; \
	else echo "licences and advisories were not checked; install with: cargo install --locked cargo-deny"; fi

bench: hook ## Measure what a container's start costs (as root)
	RUNSECRETS_TEST_HOOK="$(abspath $(HOOK))" $(CARGO) bench --locked --bench start

demo: build ## Show a whole session with runc on this machine (as root); leaves nothing behind
	OUT="$(OUT)" packaging/demo.sh

fmt: ## Format the source
	$(CARGO) fmt

# Builds nothing, so that it can run as root after a build that did not. Run-time paths are those of PREFIX=/usr: with
# another, name the hook in RUNSECRETS_HOOK or beside the wrapper; the unit and the hooks.d files are adapted here.
install: ## Install what `make build` made; DESTDIR and PREFIX say where
	install -D -m 0755 $(OUT)/release/runsecrets         $(DESTDIR)$(PREFIX)/bin/runsecrets
	install -D -m 0755 $(OUT)/release/runsecrets-runtime $(DESTDIR)$(PREFIX)/bin/runsecrets-runtime
	install -D -m 0755 $(OUT)/release/runsecrets-agent   $(DESTDIR)$(PREFIX)/sbin/runsecrets-agent
	install -D -m 0755 $(HOOK)                           $(DESTDIR)$(PREFIX)/libexec/runsecrets/runsecrets-hook
	install -D -m 0644 packaging/config.toml             $(DESTDIR)$(PREFIX)/share/doc/runsecrets/config.toml
	install -D -m 0644 packaging/runsecrets.tmpfiles     $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/runsecrets.conf
	install -D -m 0644 packaging/runsecrets.sysusers     $(DESTDIR)$(PREFIX)/lib/sysusers.d/runsecrets.conf
	install -D -m 0644 packaging/runsecrets-agent.service $(DESTDIR)$(PREFIX)/lib/systemd/system/runsecrets-agent.service
	install -d $(DESTDIR)$(PREFIX)/share/runsecrets/hooks.d
	install -m 0644 hooks/60-runsecrets-create.json hooks/60-runsecrets-poststop.json $(DESTDIR)$(PREFIX)/share/runsecrets/hooks.d
	sed -i 's|/usr/sbin/runsecrets|$(PREFIX)/sbin/runsecrets|; s|/usr/libexec/|$(PREFIX)/libexec/|' \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/runsecrets-agent.service $(DESTDIR)$(PREFIX)/share/runsecrets/hooks.d/*.json
