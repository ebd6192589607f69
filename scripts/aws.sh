#!/usr/bin/env bash
# The tests that need an emulator of AWS: starts the emulators, runs the tests, stops what it started.
#
# Emulators that run already (scripts/aws-emulators.sh start) are used and left running.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

need_rust
need cc:gcc /usr/include/stdio.h:libc6-dev

emulators=scripts/aws-emulators.sh
if ! "$emulators" env >/dev/null 2>&1; then
    trap '"$emulators" stop' EXIT
    "$emulators" start
fi
variables=$("$emulators" env)
eval "$variables"

say "the state in DynamoDB"
cargo test --locked --package layer0-store --features aws-e2e --test aws
