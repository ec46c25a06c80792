#!/bin/sh
# A whole session on this machine, with runc: `make demo` builds and calls it. Needs root and Debian's packages.
# Each step is shown with its real output and checked; the first that is not as it should be ends it with status 1.
# Agent, store and container live in a temporary place, and go with it.
set -eu

repository=$(cd "$(dirname "$0")/.." && pwd)
container=redis-demo
value="this is a demo secret"

fail() {
    printf '\ndemo: %s\n' "$*" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail "must be root: it starts containers; sudo make demo"

for pair in runc:runc busybox:busybox-static; do
    command -v "${pair%%:*}" >/dev/null && continue
    apt-get update -q && apt-get install -qy --no-install-recommends "${pair#*:}" ||
        fail "cannot install ${pair#*:}; apt-get install -y --no-install-recommends ${pair#*:}"
done

# --- a temporary place, and the way out of it ---------------------------------------------------------------------

place=$(mktemp -d)
agent=
finish() {
    status=$?
    trap - EXIT INT TERM
    if [ "$status" != 0 ] && [ -s "$place/agent.log" ]; then
        echo "--- the agent's log:" >&2
        cat "$place/agent.log" >&2
    fi
    [ -z "$started" ] || runc delete --force "$container" >/dev/null 2>&1 || true
    if [ -n "$agent" ]; then
        kill "$agent" 2>/dev/null || true
        wait "$agent" 2>/dev/null || true
    fi
    rm -rf "$place"
    exit "$status"
}
started=
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if runc state "$container" >/dev/null 2>&1; then
    fail "there is a container called $container already; runc delete --force $container"
fi

# --- each step: the command, what it says, whether that is right --------------------------------------------------

say() { printf '\n# %s\n' "$*"; }

# step COMMAND: shows and runs it, and keeps output and status.
step() {
    printf '$ %s\n' "$1"
    status=0
    sh -c "$1" </dev/null >"$place/out" 2>&1 || status=$?
    cat "$place/out"
}

works() {
    step "$1"
    [ "$status" = 0 ] || fail "that should have worked; it ended with status $status"
}

refused() {
    step "$1"
    [ "$status" != 0 ] || fail "that should have been refused"
}

# shows REGEX: the last output has such a line.
shows() { grep -Eq -- "$1" "$place/out" || fail "no line like '$1' in the output above"; }

# --- the programs, as they are installed --------------------------------------------------------------------------

make -s -C "$repository" install DESTDIR="$place/installed" PREFIX=/usr ${OUT:+OUT="$OUT"}
PATH="$place/installed/usr/bin:$place/installed/usr/sbin:$PATH"
RUNSECRETS_RUN_DIR="$place/run"
RUNSECRETS_HOOK="$place/installed/usr/libexec/runsecrets/runsecrets-hook"
export PATH RUNSECRETS_RUN_DIR RUNSECRETS_HOOK

: >"$place/config.toml"
runsecrets-agent --config "$place/config.toml" --state-dir "$place/state" --run-dir "$place/run" 2>"$place/agent.log" &
agent=$!
tries=0
until runsecrets version >/dev/null 2>&1; do
    kill -0 "$agent" 2>/dev/null || fail "the agent has ended"
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || fail "the agent does not answer"
    sleep 0.1
done

# A bundle, as runc makes one, on busybox; it stands for any image.
mkdir -p "$place/redis/rootfs/bin" "$place/redis/rootfs/etc"
echo 'root:x:0:0:root:/:/bin/sh' >"$place/redis/rootfs/etc/passwd"
echo 'root:x:0:' >"$place/redis/rootfs/etc/group"
cp "$(command -v busybox)" "$place/redis/rootfs/bin/busybox"
for applet in cat ls sleep; do ln -s busybox "$place/redis/rootfs/bin/$applet"; done
runc spec --bundle "$place/redis"
sed -i -e 's/"terminal": true/"terminal": false/' -e 's/"sh"$/"sleep", "1000"/' -e 's/"readonly": true/"readonly": false/' \
    -e '0,/"ociVersion"/s//"annotations": {"io.runsecrets.service": "redis"},\n\t&/' "$place/redis/config.json"
cd "$place"
find redis/rootfs | sort >before

# --- the session --------------------------------------------------------------------------------------------------

say "Keep a secret. The value is read from standard input."
works "echo '$value' | runsecrets secret create my_secret_data -"
shows '^[0-9a-z]{25}$'
works "runsecrets secret ls"
shows '^[0-9a-z]{25} +my_secret_data '

say "Grant it to a service, and start a container that says it is one of the service's."
works "runsecrets service create --name redis --secret my_secret_data"
works "grep -A1 annotations redis/config.json"
shows '"io.runsecrets.service": "redis"'
started=1
works "runsecrets-runtime run --detach --bundle redis $container"

say "The container has it, in RAM."
works "runc exec $container ls -l /run/secrets"
shows '^-r--r--r-- +1 +root +root +22 .* my_secret_data$'
works "runc exec $container cat /run/secrets/my_secret_data"
shows "^$value\$"
works "runc exec $container cat /proc/mounts | grep secrets"
shows '^runsecrets /run/secrets (tmpfs|ramfs) ro,nosuid,nodev,noexec'

say "Who has it? Then it cannot be removed."
works "runsecrets service ps redis"
shows "^$container +redis "
refused "runsecrets secret rm my_secret_data"
shows "secret 'my_secret_data' is in use by the following service: redis"

say "The value is in no file: not in the root file system, config.json or runc's state, nor in the agent's store."
refused "grep -ral '$value' redis /run/runc/$container state run agent.log"
[ ! -s out ] || fail "the value was found"

say "Stop it: scrubbed, and the root file system is what it was."
works "runc kill $container KILL"
tries=0
until [ "$(runc state "$container" | sed -n 's/.*"status": "\(.*\)".*/\1/p')" = stopped ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || fail "the container does not end"
    sleep 0.1
done
works "runc delete $container"
started=
works "runsecrets ps --quiet"
[ ! -s out ] || fail "a container still holds secrets"
refused "grep -ral '$value' redis state run agent.log"
[ ! -s out ] || fail "the value was found"
# Runtimes leave the directories that they mount on.
find redis/rootfs | grep -Ev '^redis/rootfs/(dev|proc|sys)(/|$)' | sort | diff before - || fail "something was left in the root file system"

say "Revoke it, and start again: gone."
works "runsecrets service update --secret-rm my_secret_data redis"
started=1
works "runsecrets-runtime run --detach --bundle redis $container"
refused "runc exec $container cat /run/secrets/my_secret_data"
shows "No such file or directory"

say "Tidy up."
works "runc delete --force $container"
started=
works "runsecrets service rm redis"
works "runsecrets secret rm my_secret_data"
works "runsecrets secret ls --quiet"
[ ! -s out ] || fail "a secret is left"

printf '\ndemo: every step was as it should be\n'
