#!/usr/bin/env bash
# The executable for everything: with AWS, linked statically. It needs no library of the machine that it runs on, so it runs on
# every Linux of this architecture and is all that the image of an instance's servers holds (`l0 setup`).
#
# Further arguments go to Cargo.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

need_rust
need cc:gcc /usr/include/stdio.h:libc6-dev
cargo rustc --release --locked --package l0 --features aws --bin l0 "$@" -- -C target-feature=+crt-static
say "$ROOT/target/release/l0"
