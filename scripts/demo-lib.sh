# What demo.sh and demo-down.sh share: where the demonstration keeps its things, and its server. Sourced, never run.
# shellcheck shell=bash

# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT" || exit

DEMO=$ROOT/.demo
L0=$ROOT/target/release/l0

# Shows a command as a reader would type it.
show() {
    local word line=
    for word in "$@"; do
        case $word in
        "$DEMO"/*) word=.demo/${word#"$DEMO"/} ;;
        "$ROOT"/*) word=${word#"$ROOT"/} ;;
        esac
        if [[ $word =~ ^[A-Za-z0-9_./:=@,+-]+$ ]]; then line+=" $word"; else line+=" '$word'"; fi
    done
    show_text "${line# }"
}
# On stderr, so that what the command itself says can be piped on.
show_text() {
    if [ -t 2 ]; then printf '\n\033[1m$ %s\033[0m\n' "$1" >&2; else printf '\n$ %s\n' "$1" >&2; fi
}

# Shows a command, then runs it.
run() {
    show "$@"
    "$@"
}

# The demonstration's own `l0`.
l0() {
    show l0 "$@"
    "$L0" "$@"
}

# What an earlier step noted; nothing when there was none.
noted() { cat "$DEMO/$1" 2>/dev/null || true; }

server_pid() {
    local pid
    pid=$(noted server.pid)
    # The number may have gone to another process since.
    [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = l0 ] && echo "$pid"
}

server_answers() { curl -fsS -m 5 -o /dev/null "http://localhost:$(noted port)/health"; }

# Starts the server on the noted port and waits until it answers.
server_start() {
    local port
    port=$(noted port)
    # The token that the first start writes for the local command line belongs to the demonstration, not to the user.
    # shellcheck disable=SC2016 # expanded by the shell that becomes the server, whose process id this is
    XDG_CONFIG_HOME=$DEMO/config setsid --fork bash -c 'echo $$ >"$1"; shift; exec "$@"' bash "$DEMO/server.pid" \
        "$L0" server --data-dir "$DEMO/data" --listen "127.0.0.1:$port" >>"$DEMO/server.log" 2>&1 </dev/null
    wait_until 30 server_answers || {
        tail -n 15 "$DEMO/server.log" >&2
        die "the server did not answer within 30 s; the end of its log is above (.demo/server.log)"
    }
}

server_stop() {
    local pid
    pid=$(server_pid) || return 0
    kill "$pid"
    wait_until 30 test ! -e "/proc/$pid" || die "the server (pid $pid) did not stop within 30 s; see .demo/server.log"
}

# Lets `l0` know where the server is and who asks.
connect() { eval "$("$L0" endpoint --data-dir "$DEMO/data")"; }
