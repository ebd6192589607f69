#!/usr/bin/env bash
# Fuzzes every target, or those that are named, for a while: scripts/fuzz.sh [TARGET...]
#
# LAYER0_FUZZ_SECONDS  how long each target runs (20)
# LAYER0_FUZZ_JOBS     how many run side by side (as many as there are cores)
#
# An input that breaks something is kept in target/fuzz/artifacts/TARGET, and the end says how to run it again. What else
# is found is kept in target/fuzz/corpus and built upon by the next run. docs/testing.md tells the rest.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

seconds=${LAYER0_FUZZ_SECONDS:-20}
jobs=${LAYER0_FUZZ_JOBS:-$(nproc)}
work=$ROOT/target/fuzz

# The longest input of each target. What is longer costs time and finds nothing that is new in kind.
declare -A longest=(
    [authorization]=4096 [content_range]=128 [digest]=256 [image]=1024 [image_map]=2048 [manifest]=16384 [path]=2048
    [range]=128 [request]=8192 [scope]=4096 [signed_token]=2048 [task_definition]=16384
)

# The compiler of the stable toolchain counts which edges run and which values are compared: what cargo-fuzz asks it for
# too, without the address sanitizer, which needs the nightly one and has nothing to find in code without `unsafe`.
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"

need_rust
need cc:gcc c++:g++ /usr/include/stdio.h:libc6-dev
host=$(rustc -vV | sed -n 's/^host: //p')
bin=$work/$host/release

build() {
    say "building the fuzz targets"
    cp Cargo.lock fuzz/Cargo.lock
    # With --target, so that build scripts and macros, which run without a fuzzer, are not instrumented.
    RUSTFLAGS=$coverage cargo build --release --manifest-path fuzz/Cargo.toml --target "$host" --target-dir "$work"
}

# Runs one target; prints a line, and the end of its log when it breaks.
fuzz() {
    local target=$1 log=$work/logs/$1.log dictionary=() status=0
    mkdir -p "$work/corpus/$target" "$work/artifacts/$target" "$work/logs"
    [ ! -f "fuzz/dictionaries/$target.dict" ] || dictionary=(-dict="fuzz/dictionaries/$target.dict")
    # Without a backtrace, which takes seconds on a busy machine and would then be reported as a slow input: the line of the
    # panic says enough, and the input can be run again with one.
    RUST_BACKTRACE=0 "$bin/$target" -max_total_time="$seconds" -max_len="${longest[$target]}" -timeout=25 -rss_limit_mb=1024 -use_value_profile=1 \
        -artifact_prefix="$work/artifacts/$target/" "${dictionary[@]}" "$work/corpus/$target" "fuzz/corpus/$target" >"$log" 2>&1 ||
        status=$?
    if [ "$status" = 0 ]; then
        printf 'fuzz %-16s ok      %s\n' "$target" "$(sed -n 's/^#\([0-9]*\)\tDONE *\(cov: [0-9]*\).*corp: \([0-9]*\).*rss: \(.*\)$/\1 runs, \2, \3 inputs kept, \4/p' "$log")"
        return
    fi
    tail -n 40 "$log" >&2
    printf 'fuzz %-16s BROKEN  %s\n' "$target" "$log"
    sed -n "s|^.*Test unit written to \(.*\)$|  run it again: ${bin#"$ROOT"/}/$target \1|p" "$log"
    return 1
}

targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cd fuzz/fuzz_targets && printf '%s\n' *.rs | sed 's/\.rs$//')
for target in "${targets[@]}"; do
    [ -n "${longest[$target]:-}" ] || die "there is no fuzz target $target; they are: $(printf '%s\n' "${!longest[@]}" | sort | xargs)"
done
build
built=$SECONDS

# In memory where there is such a place: the registry of `request` writes and syncs files.
TMPDIR=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)/layer0-fuzz.XXXXXX")
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

say "fuzzing ${#targets[@]} targets, $seconds s each, $jobs at a time"
broken=0 running=0
for target in "${targets[@]}"; do
    if [ "$running" -ge "$jobs" ]; then
        wait -n || broken=$((broken + 1))
        running=$((running - 1))
    fi
    fuzz "$target" &
    running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
    wait -n || broken=$((broken + 1))
    running=$((running - 1))
done
say "built in $built s, fuzzed in $((SECONDS - built)) s"
[ "$broken" = 0 ] || die "$broken of ${#targets[@]} targets are broken"
