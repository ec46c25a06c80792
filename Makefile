# Everything is cargo and a few scripts; `make help` lists the verbs.
SHELL    := /bin/bash
PREFIX   ?= /usr
CARGO    ?= cargo
HOST     := $(shell rustc -vV | sed -n 's/^host: //p')
OUT      := $(or $(CARGO_TARGET_DIR),target)
HOOK     := $(OUT)/$(HOST)/hook/runsecrets-hook
# Root file systems of other releases, their packages, and what the tests said in them.
MATRIX_DIR ?= $(OUT)/matrix
# What `make windows` built: the programs, and what their tests need.
WINDOWS_DIR ?= $(OUT)/windows/programs
WINDOWS  := $(OUT)/windows/x86_64-pc-windows-gnu
# The variable that tells cargo what to start a test with.
RUNNER   := CARGO_TARGET_$(shell echo $(HOST) | tr a-z- A-Z_)_RUNNER
# Static, so that no library path of anybody's is looked at; small, since it is started with every container.
HOOKFLAGS := -C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs -C link-arg=-Wl,--no-eh-frame-hdr \
             -C link-arg=-Wl,-T,$(CURDIR)/packaging/hook.ld

.PHONY: help build hook windows demo test test-faults test-matrix test-windows check bench fmt install deps
help:                ## list the verbs
	@sed -n 's/^\([a-z-]*\):[^#]*## /  \1\t/p' Makefile
build: hook          ## build the four programs
	$(CARGO) build --locked --release
hook:                ## build the hook as it is released
	RUSTFLAGS="$(HOOKFLAGS)" $(CARGO) build --locked --profile hook --no-default-features --bin runsecrets-hook --target $(HOST)
windows:             ## build the four programs for Windows, from Debian's packages
	.ci/windows
	install -D -t $(WINDOWS_DIR) $(WINDOWS)/windows/*.exe
demo:                ## run the main job and show it (root; installs runc and busybox)
	.ci/deps gcc libc6-dev runc busybox-static
	$(MAKE) build
	packaging/demo.sh $(OUT)/release $(HOOK)
test: deps           ## install what the tests need, then run them all (root)
	$(MAKE) hook
	RUNSECRETS_TEST_HOOK=$(abspath $(HOOK)) $(CARGO) test --locked --no-fail-fast
	$(MAKE) test-faults
	$(MAKE) test-windows
test-faults:         ## kill agent, hook, runtime, shim and container at every step, and see what holds (root)
	.ci/deps busybox-static containerd crun gcc libc6-dev runc uidmap util-linux
	$(CARGO) test --locked --features faults --test faults
test-matrix: hook    ## run the end-to-end tests on the engines of Debian 12, 13 and forky, and print a table (root)
	.ci/deps mmdebstrap python3-venv
	mkdir -p $(MATRIX_DIR)
	/usr/bin/python3 -m venv $(MATRIX_DIR)/pip
	$(MATRIX_DIR)/pip/bin/pip download --quiet --no-deps --require-hashes -r tests/compose/requirements.txt -d $(MATRIX_DIR)/wheels
	$(CARGO) test --locked --no-run --message-format=json-render-diagnostics > $(MATRIX_DIR)/programs.json
	RUNSECRETS_TEST_HOOK=$(abspath $(HOOK)) MATRIX_DIR=$(abspath $(MATRIX_DIR)) PIP_NO_INDEX=1 PIP_FIND_LINKS=$(abspath $(MATRIX_DIR))/wheels \
		MATRIX_PROGRAMS=$(abspath $(MATRIX_DIR))/programs.json $(CARGO) test --locked --test matrix
test-windows: windows ## run the programs for Windows on the Wine of Debian 12, and on that of Debian 13 (root)
	.ci/deps mmdebstrap wine wine64
	.ci/windows test --no-run --lib --message-format=json-render-diagnostics > $(WINDOWS_DIR)/unit-tests.json
	sed -n '/"name":"runsecrets"/s/.*"executable":"\([^"]*\)".*/\1/p' $(WINDOWS_DIR)/unit-tests.json > $(WINDOWS_DIR)/unit-tests.txt
	x86_64-w64-mingw32-gcc -Wall -Werror -o $(WINDOWS_DIR)/pipe_client.exe tests/windows/pipe_client.c
	x86_64-w64-mingw32-gcc -shared -Wall -Werror -o $(WINDOWS_DIR)/bcryptprimitives.dll tests/windows/bcryptprimitives.c -ladvapi32
	RUNSECRETS_WINE=8 RUNSECRETS_WINDOWS_PROGRAMS=$(abspath $(WINDOWS_DIR)) $(CARGO) test --locked --test windows
	.ci/make-root trixie $(OUT)/wine/trixie $(OUT)/wine/packages busybox-static wine wine64
	RUNSECRETS_WINE=10 RUNSECRETS_WINDOWS_PROGRAMS=$(abspath $(WINDOWS_DIR)) $(RUNNER)='.ci/enter-root --bind $(CURDIR) $(OUT)/wine/trixie' $(CARGO) test --locked --test windows
check: hook          ## format, lints, documentation, licences and advisories
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --no-default-features --lib --bins -- -D warnings
	$(CARGO) clippy --locked --features faults --lib --bins --test faults -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is missing; cargo install --locked cargo-deny"; exit 1; }
	$(CARGO) deny --locked --config .ci/deny.toml check
bench: hook          ## what a container's start costs, and many at one time, beside Docker Swarm (root)
	.ci/deps runc crun busybox-static docker.io util-linux
	RUNSECRETS_TEST_HOOK=$(abspath $(HOOK)) $(CARGO) bench --locked --bench start
	RUNSECRETS_TEST_HOOK=$(abspath $(HOOK)) $(CARGO) bench --locked --bench load
fmt:                 ## format the code
	$(CARGO) fmt
deps:                ## install what the tests need from Debian's packages
	.ci/deps
install:             ## install below $(DESTDIR)$(PREFIX); build first
	install -D -m 0755 $(OUT)/release/runsecrets         $(DESTDIR)$(PREFIX)/bin/runsecrets
	install -D -m 0755 $(OUT)/release/runsecrets-runtime $(DESTDIR)$(PREFIX)/bin/runsecrets-runtime
	ln -sf runsecrets-runtime                            $(DESTDIR)$(PREFIX)/bin/runsecrets-crun
	install -D -m 0755 $(OUT)/release/runsecrets-agent   $(DESTDIR)$(PREFIX)/sbin/runsecrets-agent
	install -D -m 0755 $(HOOK)                           $(DESTDIR)$(PREFIX)/libexec/runsecrets/runsecrets-hook
	install -D -m 0644 packaging/config.toml             $(DESTDIR)$(PREFIX)/share/doc/runsecrets/config.toml
	install -D -m 0644 packaging/runsecrets.tmpfiles     $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/runsecrets.conf
	install -D -m 0644 packaging/runsecrets.sysusers     $(DESTDIR)$(PREFIX)/lib/sysusers.d/runsecrets.conf
	install -D -m 0644 packaging/runsecrets-agent.service $(DESTDIR)$(PREFIX)/lib/systemd/system/runsecrets-agent.service
	install -D -m 0644 packaging/runsecrets-nri.service  $(DESTDIR)$(PREFIX)/lib/systemd/system/runsecrets-nri.service
	install -D -m 0644 packaging/runsecrets-notifier.service $(DESTDIR)$(PREFIX)/lib/systemd/system/runsecrets-notifier.service
	install -D -m 0755 -t $(DESTDIR)$(PREFIX)/share/runsecrets/notify.d packaging/notify.d/*
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/runsecrets/hooks.d hooks/60-runsecrets-create.json hooks/60-runsecrets-poststop.json
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/runsecrets/containerd packaging/containerd/*
	sed -i 's|/usr/sbin/runsecrets|$(PREFIX)/sbin/runsecrets|; s|/usr/libexec/|$(PREFIX)/libexec/|; s|/usr/bin/runsecrets|$(PREFIX)/bin/runsecrets|' \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/runsecrets-*.service $(DESTDIR)$(PREFIX)/share/runsecrets/hooks.d/*.json \
		$(DESTDIR)$(PREFIX)/share/runsecrets/containerd/*
