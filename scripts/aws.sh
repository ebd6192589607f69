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
need_go
need docker-registry:docker-registry cc:gcc /usr/include/stdio.h:libc6-dev docker:docker.io dockerd:docker.io python3:python3
# Two credential helpers on one machine: Amazon's own, and TLS for the names of ECR that it insists on.
need docker-credential-ecr-login:amazon-ecr-credential-helper skopeo:skopeo openssl:openssl unshare:util-linux ip:iproute2

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

# `l0` is linked statically here: the image of an instance's servers is made of it. One that was linked otherwise is not.
export RUSTC_WRAPPER=$ROOT/scripts/rustc-static-l0.sh
touch crates/l0/src/main.rs
export LAYER0_TEST_STATIC_L0=$ROOT/target/debug/l0

# The same packages with the same features each time: Cargo builds what they need once for each combination of them.
tests() {
    cargo test --locked --package layer0-aws --package layer0-engine --package layer0-registry --package layer0-server \
        --package layer0-setup --package layer0-store --package l0 --features \
        layer0-engine/aws-e2e,layer0-registry/aws-e2e,layer0-server/aws,layer0-setup/aws-e2e,layer0-store/aws-e2e,l0/aws-e2e \
        "$@"
}

say "what decides and what reads answers"
templates=$ROOT/target/templates
rm -rf "$templates"
LAYER0_TEMPLATES=$templates tests --lib
say "the CloudFormation templates"
"$emulators" lint "$templates"/*.json
say "the engine on the fake AWS, and the registry in front of a fake ECR"
tests --test it -- ecs:: ecr::
say "the calls that the built program makes, the policies of repositories, and the registry in a bucket, on the fake AWS"
tests --test calls --test ecr --test s3
say "the engine, on emulators"
tests --test emulators
say "the policies of repositories, the state in DynamoDB, what setup does in an account, and the built program with real containers, on emulators"
tests --test aws
