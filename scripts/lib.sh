# Set-up that the scripts share: packages, and a Docker engine that answers. Sourced, never run.
# shellcheck shell=bash disable=SC2034

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SCRIPT=$(realpath "$0")

# What is built is looked for here, wherever whoever calls has theirs.
export CARGO_TARGET_DIR=$ROOT/target

# Talk goes to stderr, so that a command's data can be captured.
say() { printf '%s\n' "== $*" >&2; }
die() {
    printf '%s\n' "!! $*" >&2
    exit 1
}

# Runs a command as root: directly, or through sudo.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo -- "$@"
    else
        die "this needs root, for apt-get or for a Docker engine, and there is neither: not root, and no sudo. Run it as root."
    fi
}

# Waits until a command succeeds: wait_until SECONDS COMMAND...
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.2
    done
}

# Whether a command, or a file given by its whole path, is here. Looks in the system's sbin directories too, where dockerd
# lies and an ordinary user's PATH does not look.
is_here() {
    case $1 in
    /*) [ -e "$1" ] ;;
    *) PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin command -v "$1" >/dev/null 2>&1 ;;
    esac
}

# Installs what is missing and says so first: need COMMAND_OR_FILE:PACKAGE...
need() {
    local pair missing=()
    for pair in "$@"; do
        is_here "${pair%%:*}" || missing+=("${pair#*:}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null 2>&1 ||
        die "missing here: ${missing[*]}. This machine has no apt-get; install them its own way and try again."
    say "not on this machine yet, installing with apt-get: ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Half of what tests do is to wait, for processes, containers and disks: with one at a time for each core, as the test harness has it, the
# cores stand still as long.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) * 2))}

need_rust() {
    command -v cargo >/dev/null 2>&1 ||
        die "cargo is not on the PATH. Install Rust (rustup, stable toolchain) and try again."
}

# Go, for the programs under tools/go. Found where its own archive puts it too.
need_go() {
    command -v go >/dev/null 2>&1 || PATH=$PATH:/usr/local/go/bin
    command -v go >/dev/null 2>&1 ||
        die "go is not on the PATH. \`make conformance\` and \`make clients\` need Go (the version is in tools/go/*/go.mod); \`make test\` does not."
}

# Builds the programs that a module under tools/go pins: go_tools MODULE DIRECTORY
# No cgo, so that no C library is needed; nothing of the git checkout goes in, so that an unchanged program is not linked anew.
go_tools() {
    local module=$1 directory=$2
    mkdir -p "$directory"
    say "building the programs that tools/go/$module pins"
    (cd "$ROOT/tools/go/$module" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags='-s -w' -o "$directory/" tool)
}

engine_answers() { docker info >/dev/null 2>&1; }

# A Docker engine that answers, started when there is none: engine_start STATE_DIR
# What we start keeps its pid and its log in STATE_DIR, and engine_stop ends that one only.
engine_start() {
    local state=$1
    engine_answers && return 0
    if [ -n "${DOCKER_HOST:-}" ]; then
        die "DOCKER_HOST is $DOCKER_HOST, and no Docker engine answers there. Start it, or unset DOCKER_HOST."
    fi
    if [ -d /run/systemd/system ]; then
        systemctl is-active --quiet docker || {
            say "starting the Docker engine: systemctl start docker"
            as_root systemctl start docker
        }
    else
        # Talk to it as root before another one is started: this user may only lack the right to.
        as_root true
        as_root docker info >/dev/null 2>&1 || engine_start_directly "$state"
    fi
    wait_until 10 engine_answers && return 0
    # It runs, but its socket is for root and the group docker. Taking that group on for this command needs no change
    # to the user's account.
    if [ "$(id -u)" != 0 ] && [ -z "${LAYER0_IN_DOCKER_GROUP:-}" ] && command -v sudo >/dev/null 2>&1; then
        say "the Docker engine's socket is for the group docker: going on as a member of it (sudo -g docker)"
        exec sudo -g docker -- env PATH="$PATH" HOME="$HOME" LAYER0_IN_DOCKER_GROUP=1 bash "$SCRIPT"
    fi
    die "a Docker engine runs, but does not answer $(id -un): $(docker info 2>&1 | tail -1)"
}

engine_start_directly() {
    local state=$1 unprivileged=()
    mkdir -p "$state"
    if ! grep -q ' cgroup2\? ' /proc/mounts; then
        need cgroupfs-mount:cgroupfs-mount
        as_root cgroupfs-mount
    fi
    [ "$(id -u)" = 0 ] || unprivileged=(--group "$(id -gn)")
    say "no Docker engine answers, starting one: dockerd (log: $state/dockerd.log)"
    as_root rm -f "$state/dockerd.pid"
    # Its own session and none of our descriptors: it outlives this script and holds no pipe of ours open.
    as_root env PATH="$PATH:/usr/sbin:/sbin" setsid --fork \
        dockerd --pidfile "$state/dockerd.pid" "${unprivileged[@]}" >"$state/dockerd.log" 2>&1 </dev/null
    wait_until 60 engine_answers || {
        tail -n 15 "$state/dockerd.log" >&2
        die "dockerd did not come up within 60 s; the end of its log is above ($state/dockerd.log)"
    }
}

# Stops the engine that engine_start started with this STATE_DIR, if it did.
engine_stop() {
    local state=$1 pid
    [ -f "$state/dockerd.pid" ] || return 0
    pid=$(cat "$state/dockerd.pid")
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]; then
        say "stopping the Docker engine that was started for this (pid $pid)"
        # The shell's own kill: a small machine has no other.
        # shellcheck disable=SC2016
        as_root bash -c 'kill "$1"' bash "$pid"
        wait_until 30 test ! -e "/proc/$pid" || die "dockerd (pid $pid) did not stop within 30 s"
    fi
    as_root rm -f "$state/dockerd.pid"
}

# The first TCP port at or above this one that nothing listens on at the loopback address: free_port FROM
free_port() {
    local port=$1
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        port=$((port + 1))
        [ "$port" -lt 65536 ] || die "no free port from $1 upwards"
    done
    echo "$port"
}
