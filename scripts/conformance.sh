#!/usr/bin/env bash
# The OCI conformance suite against a real server: with OCI_VERSION=1.1 and dev, asked with Basic and with Bearer, every
# workflow on. Passes when nothing fails and the figures and skips are those that docs/conformance.md lists and explains.
# The reports stay in target/conformance.
#
# conformance.sh ecr L0 URL: the same for a server whose images lie in ECR, with this executable, and with what answers there
# in the place of AWS. `make aws` runs it so (crates/l0/tests/aws/conformance.rs). The reports stay in target/conformance-ecr.
# conformance.sh s3 L0 URL: the same, once, for a server whose images lie in the bucket `images` of what answers there.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

backing=${1:-disk}
page=docs/conformance.md
suite=$ROOT/target/go/conformance
# Rows of the page are told apart by how the server is asked, and ECR's have their own.
case $backing in
disk)
    reports=$ROOT/target/conformance
    l0=$ROOT/target/debug/l0
    kind= more=() host=localhost
    runs=(basic:1.1 basic:dev bearer:1.1 bearer:dev)
    need_rust
    ;;
ecr)
    [ $# = 3 ] || die "usage: conformance.sh [ecr|s3 L0 URL]"
    reports=$ROOT/target/conformance-ecr
    l0=$2
    kind=ecr-
    # What answers for S3 is `localhost`; clients take their credential along to a host of the same name.
    host=127.0.0.1
    more=(--registry-backing ecr --endpoint-url "$3" --aws-region us-east-1)
    runs=(basic:1.1 bearer:dev)
    export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_EC2_METADATA_DISABLED=true
    ;;
s3)
    [ $# = 3 ] || die "usage: conformance.sh [ecr|s3 L0 URL]"
    reports=$ROOT/target/conformance-s3
    l0=$2
    kind=s3- host=localhost
    more=(--registry-backing s3 --s3-bucket images --endpoint-url "$3" --aws-region us-east-1)
    runs=(bearer:dev)
    export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_EC2_METADATA_DISABLED=true
    ;;
*) die "usage: conformance.sh [ecr|s3 L0 URL]" ;;
esac
need_go
need cc:gcc /usr/include/stdio.h:libc6-dev curl:curl
go_tools conformance "${suite%/*}"
# A test is named along, since that gives all crates the features that `cargo test --workspace` has: nothing is built anew after it.
[ "$backing" != disk ] || cargo build --workspace --locked --bin l0 --test clients

rm -rf "$reports"
mkdir -p "$reports"
server=
server_end() {
    [ -n "$server" ] || return 0
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}
trap server_end EXIT

# Starts a server on a new data directory and makes the suite's repositories: server_start CHALLENGE
server_start() {
    local challenge=$1 home=$reports/server-$1
    port=$(free_port 19090)
    mkdir -p "$home"
    # What lies in ECR is still there after a server.
    stream=()
    [ "$kind$challenge" != ecr-bearer ] || stream=(--registry-stream)
    repositories=("conformance/$challenge-one" "conformance/$challenge-two")
    # The token that the first start writes for the command line belongs to this run, not to the user.
    XDG_CONFIG_HOME=$home/config "$l0" server --engine fake --data-dir "$home/data" --listen "127.0.0.1:$port" \
        --registry-challenge "$challenge" "${more[@]}" "${stream[@]}" >"$home/server.log" 2>&1 </dev/null &
    server=$!
    wait_until 30 curl -fsS -m 5 -o /dev/null "http://localhost:$port/health" || {
        tail -n 15 "$home/server.log" >&2
        die "the server did not answer within 30 s; the end of its log is above ($home/server.log)"
    }
    eval "$("$l0" endpoint --data-dir "$home/data")"
    for repository in "${repositories[@]}"; do
        "$l0" repository create "$repository" >/dev/null
    done
    credential=$(printf %s "$LAYER0_AUTH_TOKEN" | base64 --decode)
}

# Every switch by its name, so that no default of a later suite turns a workflow off. What is off is in the page.
switches=(
    OCI_API_{PING,PULL,PUSH,REFERRER}=true
    OCI_API_BLOBS_{ATOMIC,DELETE,DIGEST_HEADER,MOUNT_ANONYMOUS,UPLOAD_CANCEL}=true
    OCI_API_MANIFESTS_{ATOMIC,DELETE,DIGEST_HEADER,TAG_PARAM}=true
    OCI_API_TAGS_{ATOMIC,DELETE,LIST}=true
    OCI_DATA_{IMAGE,INDEX,INDEX_LIST,ARTIFACT,SUBJECT,SUBJECT_MISSING,ARTIFACT_LIST,SUBJECT_LIST}=true
    OCI_DATA_{DATA_FIELD,NONDISTRIBUTABLE,CUSTOM_FIELDS,NO_LAYERS,EMPTY_BLOB,SHA512}=true
    OCI_DATA_SPARSE=false
)
# What ECR has not; docs/conformance.md says why.
if [ "$backing" = ecr ]; then
    switches+=(
        OCI_API_BLOBS_{DELETE,MOUNT_ANONYMOUS}=false
        OCI_API_TAGS_DELETE=false
        OCI_DATA_{EMPTY_BLOB,SHA512}=false
    )
fi

# Runs the suite once: suite_run CHALLENGE VERSION
suite_run() {
    local challenge=$1 version=$2 to=$reports/$2/$1 keep here=()
    mkdir -p "$to"
    # Blobs that ECR sends clients to S3 for have no digest in their head there; with Bearer they go through the server.
    [ "$kind$challenge" != ecr-basic ] || here=(OCI_API_BLOBS_DIGEST_HEADER=false)
    # With Basic each request is refused before the suite signs it, so that refusals are tried with every body there is. With
    # Bearer it keeps its token, as clients do.
    [ "$challenge" = bearer ] && keep=true || keep=false
    # It ends with 1 when something fails, and with 0 when it could not begin: what it wrote is looked at below. Only what
    # is named here is in its environment.
    env -i PATH="$PATH" HOME="$to" "${switches[@]}" "${here[@]}" OCI_VERSION="$version" OCI_RESULTS_DIR="$to" OCI_CACHE_AUTH="$keep" \
        OCI_REGISTRY="$host:$port" OCI_TLS=disabled OCI_REPO1="${repositories[0]}" OCI_REPO2="${repositories[1]}" \
        OCI_USERNAME="${credential%%:*}" OCI_PASSWORD="${credential#*:}" \
        "$suite" >"$to/output.txt" 2>&1 </dev/null || true
    for report in results.yaml junit.xml report.html; do
        [ -s "$to/$report" ] || die "the suite did not run to its end: $(tail -n 5 "$to/output.txt")"
    done
}

# The figures of a run as a row of the page's table.
figures() {
    local challenge=$1 version=$2
    awk -v challenge="$kind$challenge" -v version="$version" '
        /^  (Pass|FAIL|Error|Skip)\.+:/ { split($1, name, "."); count[name[1]] = $NF }
        END { print "| " challenge " | " version " | " count["Pass"] " | " count["FAIL"] + count["Error"] " | " count["Skip"] " |" }
    ' "$reports/$version/$challenge/output.txt"
}

# What a run left out: checks that were skipped or off, and whole kinds of data or calls that were off.
left_out() {
    local challenge=$1 from=$reports/$2/$1
    {
        sed -n 's/^ *OCI Conformance Test\/\(.*\): \(Skip\|Disabled\)$/\1/p' "$from/output.txt"
        sed -n 's/^  \(.*\): Disabled$/\1/p' "$from/results.yaml"
    } | sed 's#.*/##' | sort -u | sed "s/.*/| $kind$challenge | \`&\` |/"
}

for challenge in basic bearer; do
    [[ " ${runs[*]}" = *" $challenge:"* ]] || continue
    server_start "$challenge"
    for run in "${runs[@]}"; do
        [ "${run%:*}" = "$challenge" ] || continue
        version=${run#*:}
        say "the conformance suite, OCI_VERSION=$version, images on $backing, asked with $challenge"
        suite_run "$challenge" "$version"
        grep -E -A 3 ': (FAIL|Error)$' "$reports/$version/$challenge/output.txt" >&2 || true
        figures "$challenge" "$version" | tee -a "$reports/figures.txt"
        left_out "$challenge" "$version" >>"$reports/left-out.txt"
    done
    server_end
done
sort -u -o "$reports/left-out.txt" "$reports/left-out.txt"

# The page is the list of what is expected: a row of figures is exact, a row of the other table begins with what was left out
# and ends with why.
sed -n 's/^\(| '"$kind"'\(basic\|bearer\) | [a-z0-9.]* | [0-9]* | [0-9]* | [0-9]* |\)$/\1/p' "$page" >"$reports/figures-expected.txt"
sed -n 's/^\(| '"$kind"'\(basic\|bearer\) | `[^`]*` |\) [^ |].* |$/\1/p' "$page" | sort -u >"$reports/left-out-expected.txt"
failed=$(awk '{ failed += $8 } END { print failed + 0 }' "$reports/figures.txt")
[ "$failed" = 0 ] || die "$failed checks failed; the reports are in ${reports#"$ROOT/"}"
diff -u --label "$page" --label "this run" "$reports/left-out-expected.txt" "$reports/left-out.txt" >&2 ||
    die "what was left out is not what $page explains"
diff -u --label "$page" --label "this run" "$reports/figures-expected.txt" "$reports/figures.txt" >&2 ||
    die "these are not the figures of $page"
pinned=$(sed -n 's/.*distribution-spec\/conformance \(v[^ ]*\).*/\1/p' tools/go/conformance/go.mod)
grep -qF "$pinned" "$page" || die "$page does not name the suite's version, $pinned"
awk '{ passed += $6; failed += $8; skipped += $10 }
     END { print "conformance: " passed " passed, " failed " failed, " skipped " skipped" }' "$reports/figures.txt"
