#!/usr/bin/env bash
# The clients that are written in Go and a provider of OpenID Connect, built from what tools/go pins, and a blob of 10 GiB, against
# the built program: crates/l0/tests/clients. What runs where: docs/testing.md.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

need_rust
need_go
need cc:gcc /usr/include/stdio.h:libc6-dev
# cosign has a module of its own: it is by far the largest, and would choose the versions of what the others share.
for module in clients oidc cosign; do
    since=$SECONDS
    go_tools "$module" "$ROOT/target/go"
    say "took $((SECONDS - since)) s"
done
LAYER0_GO_CLIENTS=$ROOT/target/go cargo test --workspace --locked --test clients
