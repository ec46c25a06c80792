# Everything is cargo and a few scripts; `make help` lists the verbs.
SHELL    := /bin/bash
PREFIX   ?= /usr
SYSCONF  ?= /etc
CARGO    ?= cargo
HOST     := $(shell rustc -vV | sed -n 's/^host: //p')
HOOK     := target/$(HOST)/hook/runsecrets-hook
# Static, so that no library path of anybody's is looked at; small, since it is started with every container.
HOOKFLAGS := -C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs -C link-arg=-Wl,--no-eh-frame-hdr \
             -C link-arg=-Wl,-T,$(CURDIR)/packaging/hook.ld

.PHONY: help build hook demo test check bench fmt install deps
help:                ## list the verbs
	@sed -n 's/^\([a-z]*\):[^#]*## /  \1\t/p' Makefile
build: hook          ## build the four programs
	$(CARGO) build --locked --release
hook:                ## build the hook as it is released
	RUSTFLAGS="$(HOOKFLAGS)" $(CARGO) build --locked --profile hook --no-default-features --bin runsecrets-hook --target $(HOST)
demo: build          ## run the main job and show it (root; installs runc and busybox)
	.ci/deps runc busybox-static
	packaging/demo.sh target/release $(HOOK)
test: deps hook      ## install what the tests need, then run them all (root)
	RUNSECRETS_TEST_HOOK=$(CURDIR)/$(HOOK) $(CARGO) test --locked --no-fail-fast
check: hook          ## format, lints, documentation, licences and advisories
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is missing; cargo install --locked cargo-deny"; exit 1; }
	$(CARGO) deny --config .ci/deny.toml check
bench: hook          ## container starts: no hook, a hook that exits, ours (root)
	.ci/deps runc crun busybox-static
	RUNSECRETS_TEST_HOOK=$(CURDIR)/$(HOOK) $(CARGO) bench --locked --bench start
fmt:                 ## format the code
	$(CARGO) fmt
deps:                ## install what the tests need from Debian's packages
	.ci/deps
install:             ## install below $(DESTDIR)$(PREFIX); build first
	install -D -m 0755 target/release/runsecrets         $(DESTDIR)$(PREFIX)/bin/runsecrets
	install -D -m 0755 target/release/runsecrets-runtime $(DESTDIR)$(PREFIX)/bin/runsecrets-runtime
	install -D -m 0755 target/release/runsecrets-agent   $(DESTDIR)$(PREFIX)/sbin/runsecrets-agent
	install -D -m 0755 $(HOOK)                           $(DESTDIR)$(PREFIX)/libexec/runsecrets/runsecrets-hook
	install -D -m 0644 packaging/config.toml             $(DESTDIR)$(SYSCONF)/runsecrets/config.toml.example
	install -D -m 0644 packaging/systemd/runsecrets-agent.service $(DESTDIR)$(PREFIX)/lib/systemd/system/runsecrets-agent.service
	install -D -m 0644 packaging/systemd/sysusers.conf   $(DESTDIR)$(PREFIX)/lib/sysusers.d/runsecrets.conf
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/runsecrets/hooks hooks/*.json hooks/README.md
