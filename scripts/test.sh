#!/usr/bin/env bash
# Every test, with the set-up they need on a fresh Debian 12 with Rust. What runs where: docs/testing.md.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

state=$ROOT/target/test-engine
results=$ROOT/target/test-results.txt

# Runs one cargo test and keeps its output for the sum at the end.
run_tests() {
    say "$1"
    shift
    local since=$SECONDS
    "$@" 2>&1 | tee -a "$results"
    say "took $((SECONDS - since)) s"
}

need_rust
need cc:gcc /usr/include/stdio.h:libc6-dev curl:curl docker:docker.io dockerd:docker.io skopeo:skopeo podman:podman \
    buildah:buildah
trap 'engine_stop "$state"' EXIT
engine_start "$state"
mkdir -p target
: >"$results"

# The engine's address leads nowhere here: these tests must not need one.
run_tests "tests that need no Docker engine" \
    env DOCKER_HOST=unix:///nonexistent/docker.sock cargo test --workspace --locked
run_tests "tests of the guestbook" \
    cargo test --locked --manifest-path examples/guestbook/Cargo.toml --target-dir examples/guestbook/target

if compgen -G 'crates/*/tests/e2e/main.rs' >/dev/null; then
    run_tests "end to end, with the real Docker engine and the real clients" \
        cargo test --workspace --locked --test e2e
fi

awk '/^test result:/ { passed += $4; failed += $6; skipped += $8 }
     END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped; exit failed > 0 || passed == 0 }' "$results"
