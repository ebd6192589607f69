#!/usr/bin/env bash
# Emulators of AWS on 127.0.0.1, for the tests that need one.
#
#   aws-emulators.sh start   installs what is missing under target/aws, starts each emulator that does not run, waits until
#                            all answer
#   aws-emulators.sh env     prints what tests have to know, as `export NAME=value`
#   aws-emulators.sh stop    ends those that `start` started, and no others
#   aws-emulators.sh lint FILE...   checks CloudFormation templates with cfn-lint, installed in the same place
#
# `guarded` is ministack once more, which lets in nobody whose signature is wrong. `microburst` stands before ministack and
# lets calls go wrong.
#
# LAYER0_MOTO_PORT, LAYER0_MINISTACK_PORT, LAYER0_GUARDED_PORT and LAYER0_MICROBURST_PORT choose ports; without them each
# emulator gets a free one.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

AWS_DIR=$ROOT/target/aws
EMULATORS="moto ministack guarded microburst"

# What pip installs, pinned: what the tests rely on was looked at in these versions.
package_of() {
    case $1 in
    moto) echo 'moto[server]==5.2.5' ;;
    ministack) echo 'ministack[full]==1.5.33' ;;
    microburst) echo 'microburst==0.10.0' ;;
    cfn-lint) echo 'cfn-lint==1.58.0' ;;
    esac
}

# The program that is an emulator.
program_of() {
    case $1 in
    guarded) echo ministack ;;
    *) echo "$1" ;;
    esac
}

# The address that answers once an emulator is ready.
ready_of() {
    case $1 in
    moto) echo "http://127.0.0.1:$2/moto-api/" ;;
    ministack | guarded) echo "http://127.0.0.1:$2/_ministack/ready" ;;
    microburst) echo "http://127.0.0.1:$2/_microburst/health" ;;
    esac
}

# The port of an emulator: the one that was asked for, or a free one above the emulator's usual one.
port_of() {
    local asked=LAYER0_${1^^}_PORT
    if [ -n "${!asked:-}" ]; then
        echo "${!asked}"
        return
    fi
    case $1 in
    moto) free_port 15000 ;;
    ministack) free_port 14566 ;;
    guarded) free_port 17566 ;;
    microburst) free_port 19999 ;;
    esac
}

install() {
    local name venv package
    name=$(program_of "$1")
    venv=$AWS_DIR/$name
    package=$(package_of "$name")
    [ "$(cat "$venv/.installed" 2>/dev/null)" = "$package" ] && { [ "$name" != ministack ] || mended "$venv"; } && return
    python3 -c 'import ensurepip' 2>/dev/null || need /no/ensurepip:python3-venv
    say "installing $package under target/aws"
    python3 -m venv --clear "$venv" || die "python3 can't make a virtual environment"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$package" || die "$package can't be installed"
    [ "$name" != ministack ] || mend_ministack "$venv"
    echo "$package" >"$venv/.installed"
}

mended() {
    grep -q '"environment", "secrets"' "$1"/lib/python3*/site-packages/ministack/services/cloudformation/provisioners.py
}

# ministack 1.5.33 takes the secrets of containers from its ECS, and loses them on the way from its CloudFormation.
mend_ministack() {
    local file
    file=$(echo "$1"/lib/python3*/site-packages/ministack/services/cloudformation/provisioners.py)
    sed -i 's/elif camel == "environment" and isinstance(v, list):/elif camel in ("environment", "secrets") and isinstance(v, list):/' \
        "$file"
    mended "$1" || die "ministack is not as it was: look at $file"
}

# Whether the process that `start` noted for an emulator still is that emulator.
runs() {
    local pid
    pid=$(cat "$AWS_DIR/$1.pid" 2>/dev/null) || return 1
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$AWS_DIR/$(program_of "$1")/bin/"
}

launch() {
    local name=$1 port
    runs "$name" && return
    port=$(port_of "$name")
    echo "$port" >"$AWS_DIR/$name.port"
    local bin log=$AWS_DIR/$name.log
    bin=$AWS_DIR/$(program_of "$name")/bin
    case $name in
    moto)
        MOTO_IAM_LOAD_MANAGED_POLICIES=true setsid "$bin/moto_server" -H 127.0.0.1 -p "$port" >"$log" 2>&1 </dev/null &
        ;;
    ministack | guarded)
        local auth=false
        [ "$name" = ministack ] || auth=true
        AUTH=$auth CLOUDTRAIL_RECORDING=1 GATEWAY_PORT=$port BIND_HOST=127.0.0.1 MINISTACK_HOST=localhost \
            MINISTACK_ACCOUNT_ID=123456789012 SFTP_ENABLED=0 IOT_MTLS_ENABLED=0 \
            setsid "$bin/ministack" >"$log" 2>&1 </dev/null &
        ;;
    microburst)
        setsid "$bin/microburst" --host 127.0.0.1 --port "$port" \
            --upstream "http://127.0.0.1:$(cat "$AWS_DIR/ministack.port")" >"$log" 2>&1 </dev/null &
        ;;
    esac
    echo $! >"$AWS_DIR/$name.pid"
    say "started $name on 127.0.0.1:$port"
}

answers() {
    python3 - "$1" <<'PY'
import sys, urllib.request
# No proxy of the environment lies between this machine and itself.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
sys.exit(0 if opener.open(sys.argv[1], timeout=2).status == 200 else 1)
PY
}

start() {
    mkdir -p "$AWS_DIR"
    need python3:python3
    # Debian keeps a part of Python's own library in a package beside it; where Python is another one, it has it.
    python3 -c 'import ensurepip' 2>/dev/null || need /usr/share/doc/python3-venv:python3-venv
    local name
    for name in $EMULATORS; do install "$name"; done
    # It was told where the one before listened.
    runs ministack || stop_one microburst
    for name in $EMULATORS; do launch "$name"; done
    for name in $EMULATORS; do
        if ! wait_until 60 answers "$(ready_of "$name" "$(cat "$AWS_DIR/$name.port")")"; then
            tail -n 20 "$AWS_DIR/$name.log" >&2 || true
            die "$name does not answer after 60 seconds; its log is target/aws/$name.log"
        fi
    done
}

stop() {
    local name
    for name in $EMULATORS; do stop_one "$name"; done
}

stop_one() {
    local pid
    if runs "$1"; then
        pid=$(cat "$AWS_DIR/$1.pid")
        kill "$pid" 2>/dev/null || true
        wait_until 10 not_runs "$1" || kill -9 "$pid" 2>/dev/null || true
        say "stopped $1"
    fi
    rm -f "$AWS_DIR/$1.pid" "$AWS_DIR/$1.port"
}

not_runs() { ! runs "$1"; }

lint() {
    [ $# -gt 0 ] || die "lint: no template is given"
    mkdir -p "$AWS_DIR"
    need python3:python3
    install cfn-lint
    # W2001, a parameter that no part uses: it holds the fingerprint of the template.
    "$AWS_DIR/cfn-lint/bin/cfn-lint" --regions us-west-2 --ignore-checks W2001 --non-zero-exit-code warning -- "$@" ||
        die "cfn-lint has something against a template"
    say "cfn-lint has nothing against $# templates"
}

print_env() {
    local name
    for name in $EMULATORS; do
        runs "$name" || die "$name does not run: aws-emulators.sh start"
        echo "export LAYER0_TEST_${name^^}=http://127.0.0.1:$(cat "$AWS_DIR/$name.port")"
    done
    echo "export LAYER0_TEST_DYNAMODB=http://127.0.0.1:$(cat "$AWS_DIR/ministack.port")"
    echo "export AWS_ACCESS_KEY_ID=test"
    echo "export AWS_SECRET_ACCESS_KEY=test"
    echo "export AWS_REGION=us-east-1"
    echo "export AWS_EC2_METADATA_DISABLED=true"
}

case ${1:-} in
start) start ;;
stop) stop ;;
env) print_env ;;
lint) shift && lint "$@" ;;
*) die "usage: aws-emulators.sh start|stop|env|lint" ;;
esac
