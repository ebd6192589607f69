#!/usr/bin/env bash
# From nothing to a running service whose image is private: a registry, a control plane and a guest book on this machine.
# Shows every command before it runs it. `make demo-down` removes it all.
set -euo pipefail
# shellcheck source=scripts/demo-lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/demo-lib.sh"

need_rust
need cc:gcc /usr/include/stdio.h:libc6-dev curl:curl docker:docker.io dockerd:docker.io
engine_start "$DEMO"
if [ -e "$DEMO/port" ]; then
    say "an earlier demonstration is here: removing it first"
    KEEP_ENGINE=1 scripts/demo-down.sh
fi
mkdir -p "$DEMO"

say "building l0"
since=$SECONDS
run cargo build --release --locked --package l0
say "built in $((SECONDS - since)) s: $(($(stat -c %s "$L0") / 1024)) KiB"

on_failure() {
    local status=$?
    touch "$DEMO/visitor.stop"
    [ "$status" = 0 ] || printf '\n!! the demonstration ended early. Logs: .demo/server.log. To clear up: make demo-down\n' >&2
}
trap on_failure EXIT

say "an instance of its own, in .demo"
port=$(free_port 9090)
echo "$port" >"$DEMO/port"
show l0 server --data-dir "$DEMO/data" --listen "127.0.0.1:$port"
server_start
show_text "eval \"\$(l0 endpoint --data-dir .demo/data)\""
connect

say "a private repository, and v1 of the guest book in it"
registry=localhost:$port
l0 repository create demo/guestbook
run scripts/guestbook-image.sh v1 "$registry/demo/guestbook:v1"
# The docker client's login goes into a directory of the demonstration's, not into the user's ~/.docker.
export DOCKER_CONFIG=$DEMO/docker
mkdir -p "$DOCKER_CONFIG"
credentials=$(printf %s "$LAYER0_AUTH_TOKEN" | base64 --decode)
show docker login "$registry" --username "${credentials%%:*}" --password-stdin
printf %s "${credentials#*:}" | docker login "$registry" --username "${credentials%%:*}" --password-stdin \
    2>"$DEMO/login.log" || die "$(cat "$DEMO/login.log")"
run docker push "$registry/demo/guestbook:v1"

say "somewhere to run, an address, and the service: its task definition names registry.layer0.test/demo/guestbook:v1"
lb_port=$(free_port 8080)
l0 environment create demo
l0 loadbalancer create demo web --port "$lb_port:8080/http" --healthcheck-path /health \
    --healthcheck-interval 1 --healthcheck-timeout 1
l0 deploy create examples/guestbook/Dockerrun.aws.json guestbook
l0 service create demo guestbook guestbook:latest --loadbalancer demo:web --scale 2
l0 service get demo:guestbook

say "the page, through the load balancer"
l0 -o json loadbalancer get demo:web | tee "$DEMO/loadbalancer.json" | grep '"url"'
url=$(sed -n 's/.*"url": *"\([^"]*\)".*/\1/p' "$DEMO/loadbalancer.json" | head -n 1)
[ -n "$url" ] || die "the load balancer has no url"
case $url in http://* | https://*) ;; *) url=http://$url ;; esac
url=${url%/}
show curl "$url/"
curl -fsS "$url/" | grep -E '<h1>|<footer>' | sed 's/<[^>]*>//g'
show curl "$url/" --data-urlencode name=Ada --data-urlencode 'message=Pushed, named, running'
curl -fsS "$url/" --data-urlencode name=Ada --data-urlencode 'message=Pushed, named, running' |
    grep -E '<li>' | sed 's/<[^>]*>//g'

say "v2, while a visitor keeps asking for the page"
run scripts/guestbook-image.sh v2 "$registry/demo/guestbook:v2"
run docker push "$registry/demo/guestbook:v2"
sed 's|demo/guestbook:v1|demo/guestbook:v2|' examples/guestbook/Dockerrun.aws.json >"$DEMO/Dockerrun.aws.json"

visitor() {
    local v1=0 v2=0 failed=0 page
    while [ ! -e "$DEMO/visitor.stop" ]; do
        page=$(curl -fsS -m 10 "$url/" 2>>"$DEMO/visitor.log") || page=
        case $page in
        *'guestbook v1,'*) v1=$((v1 + 1)) ;;
        *'guestbook v2,'*) v2=$((v2 + 1)) ;;
        *) failed=$((failed + 1)) ;;
        esac
    done
    echo "$v1 $v2 $failed" >"$DEMO/visitor.result"
}
visitor &
visitor_pid=$!
l0 deploy create "$DEMO/Dockerrun.aws.json" guestbook
l0 service update demo:guestbook guestbook:latest
saw_v2() { curl -fsS -m 10 "$url/version" | grep -qx v2; }
wait_until 30 saw_v2 || die "the service was updated, but the page is still v1"
touch "$DEMO/visitor.stop"
wait "$visitor_pid"
read -r v1 v2 failed <"$DEMO/visitor.result"
printf '\nduring the update the visitor got: v1 %d times, v2 %d times, failed %d\n' "$v1" "$v2" "$failed"
[ "$failed" = 0 ] || die "a request failed during the update; see .demo/visitor.log"
[ $((v1 + v2)) -gt 0 ] || die "the visitor asked for nothing, so the update shows nothing"

say "what it says, and what the image's name became"
l0 service logs --tail 5 demo:guestbook
l0 image resolve registry.layer0.test/demo/guestbook:v2

trap - EXIT
cat <<TXT

The guest book:       $url/
The API and registry: http://localhost:$port/
To go on from here:   eval "\$(target/release/l0 endpoint --data-dir .demo/data)"; PATH=\$PWD/target/release:\$PATH
                      l0 service list
To remove it all:     make demo-down
TXT
