#!/bin/bash
# The main job, shown: one secret, one container of runc, and nothing left of it. Run by `make demo`, as root.
# Usage: demo.sh DIRECTORY-OF-PROGRAMS HOOK
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "make demo needs root: it starts containers" >&2; exit 1; }

place=$(mktemp -d)
chmod 755 "$place"
agent=
cleanup() {
    status=$?
    for id in redis redis-again; do runc --root "$place/runc" delete --force "$id" >/dev/null 2>&1 || true; done
    [ -z "$agent" ] || { kill "$agent" 2>/dev/null && wait "$agent" 2>/dev/null || true; }
    [ "$status" = 0 ] || { echo; echo "FAILED; the agent said:"; cat "$place/agent.log" || true; }
    rm -rf "$place"
    exit "$status"
}
trap cleanup EXIT

# Copies that are root's: the wrapper refuses a hook that somebody else could have changed, as in a user's own checkout.
install -D -t "$place/programs" "$1/runsecrets" "$1/runsecrets-agent" "$1/runsecrets-runtime" "$2"
programs="$place/programs"
hook="$programs/runsecrets-hook"

step() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
# Shows a command as it would be typed, runs it, and shows what it says.
typed() { local line="${*//$place\//}"; line=${line/#incontainer/runc exec}; printf '$ %s\n' "${line/#wrapped/runsecrets-runtime}"; }
show() { typed "$@"; "$@"; }
fails() { typed "$@"; if "$@" 2>&1; then echo "that should have been refused" >&2; exit 1; fi; }
has() { grep -qE -- "$2" <<<"$1" || { echo "expected '$2' in: $1" >&2; exit 1; }; }
must() { "$@" || { echo "does not hold: $*" >&2; exit 1; }; }
runsecrets() { "$programs/runsecrets" --run-dir "$place/run" "$@"; }
wrapped() { "$programs/runsecrets-runtime" --hook "$hook" --run-dir "$place/run" --real-runtime runc --root "$place/runc" "$@"; }
incontainer() { runc --root "$place/runc" exec "$@"; }

step "An agent, in a place of its own"
touch "$place/config.toml"
"$programs/runsecrets-agent" --config "$place/config.toml" --state-dir "$place/state" --run-dir "$place/run" 2>"$place/agent.log" </dev/null &
agent=$!
for _ in $(seq 100); do [ -S "$place/run/agent.sock" ] && break; sleep 0.05; done
show runsecrets version --format '{{.Server.Version}}'

step "A root file system of busybox, and a bundle whose only mention of secrets is an annotation"
bundle="$place/bundle"
mkdir -p "$bundle/rootfs"/{bin,etc,proc,dev,sys,run,tmp}
cp "$(command -v busybox)" "$bundle/rootfs/bin/"
echo "root:x:0:0:root:/:/bin/sh" >"$bundle/rootfs/etc/passwd"
echo "root:x:0:" >"$bundle/rootfs/etc/group"
for applet in sh ls cat grep sleep; do ln -s busybox "$bundle/rootfs/bin/$applet"; done
cat >"$bundle/config.json" <<JSON
{"ociVersion": "1.0.2",
 "process": {"user": {"uid": 0, "gid": 0}, "args": ["sleep", "1000"], "env": ["PATH=/bin"], "cwd": "/", "noNewPrivileges": true},
 "root": {"path": "rootfs"},
 "annotations": {"io.runsecrets.service": "redis"},
 "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}],
 "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "network"}, {"type": "ipc"}]}}
JSON
show grep annotations "$bundle/config.json"

step "Store a secret, and look at what can be seen of it"
value="this is a demo secret"
printf '$ echo "%s" | runsecrets secret create my_secret_data -\n' "$value"
echo "$value" | runsecrets secret create my_secret_data -
show runsecrets secret ls

step "A service that is granted it, and a container that is that service"
show runsecrets service create --name redis --secret my_secret_data
typed wrapped run --detach --bundle "$bundle" redis
wrapped run --detach --bundle "$bundle" redis </dev/null >"$place/out" 2>&1 || { cat "$place/out"; exit 1; }
listing=$(show incontainer redis ls -l /run/secrets); echo "$listing"
has "$listing" "^-r--r--r-- .* 22 .* my_secret_data$"
text=$(show incontainer redis cat /run/secrets/my_secret_data); echo "$text"
has "$text" "^$value$"
mount=$(show incontainer redis grep /run/secrets /proc/self/mountinfo); echo "$mount"
# ramfs, which cannot be swapped either, where the kernel has no noswap (before 6.4).
has "$mount" " ro,nosuid,nodev,noexec,.*( - tmpfs .*noswap| - ramfs )"
holders=$(show runsecrets service ps redis); echo "$holders"
has "$holders" "^redis +redis .* my_secret_data:1 "

step "A new value, and the running container has it"
new="a new demo secret"
printf '$ echo "%s" | runsecrets secret update my_secret_data -\n' "$new"
echo "$new" | runsecrets secret update my_secret_data -
text=$(show incontainer redis cat /run/secrets/my_secret_data); echo "$text"
has "$text" "^$new$"
show runsecrets secret rollback my_secret_data
text=$(show incontainer redis cat /run/secrets/my_secret_data); echo "$text"
has "$text" "^$value$"

step "In use: it cannot be removed"
refusal=$(fails runsecrets secret rm my_secret_data); echo "$refusal"
has "$refusal" "is in use by the following service: redis"

step "Stop; nothing is left, in memory or on disk"
exec 9<"/proc/$(runc --root "$place/runc" state redis | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')/root/run/secrets/my_secret_data"
show runc --root "$place/runc" kill redis KILL
for _ in $(seq 100); do runc --root "$place/runc" delete redis 2>/dev/null && break; sleep 0.05; done
printf '$ cat <&9    # a descriptor that was opened before the stop\n'
must [ -z "$(cat <&9)" ]
echo "(empty)"
exec 9<&-
if grep -rqF -e "$value" -e "$new" "$bundle" "$place/state" "$place/run" "$place/agent.log"; then
    echo "the value is on disk" >&2; exit 1
fi
echo "searched the root file system, config.json, the store, the run directory and the log: the value is nowhere"
must [ ! -e "$bundle/rootfs/run/secrets" ]
echo "the mount point is gone"

step "Revoke, start again: not there any more"
show runsecrets service update redis --secret-rm my_secret_data
typed wrapped run --detach --bundle "$bundle" redis-again
wrapped run --detach --bundle "$bundle" redis-again </dev/null >"$place/out" 2>&1 || { cat "$place/out"; exit 1; }
missing=$(fails incontainer redis-again cat /run/secrets/my_secret_data); echo "$missing"
has "$missing" "can't open '/run/secrets/my_secret_data': No such file or directory"

step "Remove both"
show runsecrets service rm redis
show runsecrets secret rm my_secret_data
show runsecrets secret ls
must [ -z "$(runsecrets secret ls --quiet)" ]
echo
echo "All of it held."
