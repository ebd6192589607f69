#!/usr/bin/env bash
# Builds the guestbook as one static executable and puts it into an image that holds nothing else.
# Nothing is pulled: the image starts FROM scratch.
#
#   scripts/guestbook-image.sh VERSION IMAGE      for example: scripts/guestbook-image.sh v1 localhost:9090/demo/guestbook:v1
set -euo pipefail

if [ $# -ne 2 ]; then
    echo "usage: scripts/guestbook-image.sh VERSION IMAGE" >&2
    exit 2
fi
version=$1 image=$2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
package=$root/examples/guestbook
target=$(rustc -vV | sed -n 's/^host: //p')

# Two at once build into one directory: what the one has built is its own before the other begins.
mkdir -p "$package/target"
exec 9>"$package/target/image.lock"
flock 9

# glibc's static library does here: no musl target has to be installed. A named --target keeps the flag away from build
# scripts, and a target directory of its own keeps it away from the workspace.
GUESTBOOK_VERSION=$version RUSTFLAGS='-C target-feature=+crt-static' \
    cargo build --quiet --release --locked --manifest-path "$package/Cargo.toml" \
    --target "$target" --target-dir "$package/target" 9>&-

# The build context is this one file, so that the client has nothing else to send.
context=$(mktemp -d -p "$package/target")
trap 'rm -rf "$context" "$context.log"' EXIT
cp "$package/target/$target/release/guestbook" "$context/guestbook"
flock -u 9

# Without the buildx plugin the client must be told to use the engine's own builder; with it, that builder is on its way out.
if ! docker buildx version >/dev/null 2>&1; then
    export DOCKER_BUILDKIT=0
fi
# The engine's own builder says on stderr that it is on its way out; its words are shown only when it fails.
docker build --quiet --tag "$image" --file "$package/Dockerfile" "$context" 2>"$context.log" || {
    cat "$context.log" >&2
    exit 1
}
