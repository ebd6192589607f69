#!/usr/bin/env bash
# What concerns AWS: the engine on the loopback fake, and the state, the engine and the built program on emulators. Starts the
# emulators and, where there is none, a Docker engine; stops what it started.
#
# Emulators that run already (scripts/aws-emulators.sh start) are used and left running.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

need_rust
need cc:gcc /usr/include/stdio.h:libc6-dev docker:docker.io dockerd:docker.io python3:python3

state=$ROOT/target/aws-engine
emulators=scripts/aws-emulators.sh
started=no
finish() {
    if [ "$started" = yes ]; then "$emulators" stop; fi
    engine_stop "$state"
}
trap finish EXIT
engine_start "$state"
if ! "$emulators" env >/dev/null 2>&1; then
    started=yes
    "$emulators" start
fi
variables=$("$emulators" env)
eval "$variables"

say "the engine, on the fake AWS"
templates=$ROOT/target/templates
rm -rf "$templates"
LAYER0_TEMPLATES=$templates cargo test --locked --package layer0-engine --features ecs --lib --test it
say "its CloudFormation templates"
"$emulators" lint "$templates"/*.json
say "the registry in front of ECR, on the fake ECR"
cargo test --locked --package layer0-registry --features ecr --lib --test it ecr
say "the configuration of a server that knows AWS"
cargo test --locked --package layer0-server --features aws --lib config
say "the calls that the built program makes, on the fake AWS"
cargo test --locked --package l0 --features aws --test calls
say "the policies of repositories, on the fake AWS and on an emulator"
cargo test --locked --package layer0-registry --features aws-e2e --test ecr --test aws
say "the engine, on emulators"
cargo test --locked --package layer0-engine --features aws-e2e --test emulators
say "the state in DynamoDB"
cargo test --locked --package layer0-store --features aws-e2e --test aws
say "the built program, with real containers"
cargo test --locked --package l0 --features aws-e2e --test aws
