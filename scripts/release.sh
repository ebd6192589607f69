#!/usr/bin/env bash
# The executable for everything: with AWS, linked statically, its functions in the order of their use (docs/decisions/0031-release.md). It
# needs no library of the machine that it runs on, so it runs on every Linux of this architecture and is all that the image of an
# instance's servers holds (`l0 setup`).
#
# `--dev` tries it with a build that is not optimised and has no AWS, in a minute or two. Further arguments go to Cargo.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

need_rust
need cc:gcc /usr/include/stdio.h:libc6-dev valgrind:valgrind
cargo xtask release "$@"
