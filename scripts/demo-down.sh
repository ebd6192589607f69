#!/usr/bin/env bash
# Removes all that demo.sh made, as far as it is there. With KEEP_ENGINE=1 a Docker engine that it started goes on.
set -euo pipefail
# shellcheck source=scripts/demo-lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/demo-lib.sh"

if [ ! -d "$DEMO" ]; then
    say "there is no demonstration here"
    exit 0
fi
port=$(noted port)
# Without an engine nothing of it runs, but what it left would come back with the next one.
if command -v docker >/dev/null 2>&1; then
    engine_start "$DEMO"
fi

# The orderly way: the server takes down what it put up. Exit code 3 says that the thing is gone already.
if [ -n "$port" ] && [ -d "$DEMO/data" ] && [ -x "$L0" ]; then
    if ! server_answers 2>/dev/null; then
        say "the server does not run: starting it once more, so that it can clear up"
        rm -f "$DEMO/server.pid"
        (server_start) || say "it does not start; clearing up without it"
    fi
    if server_answers 2>/dev/null && connect; then
        for thing in 'service delete demo:guestbook' 'loadbalancer delete demo:web' 'environment delete --recursive demo'; do
            # shellcheck disable=SC2086 # the words of one command
            l0 $thing || [ $? = 3 ] || say "that did not go the orderly way; what it left is removed below"
        done
    fi
fi
server_stop

# Whatever happened above: no container, network or image of the demonstration's stays.
if [ -n "$port" ] && engine_answers; then
    # Whichever name of this machine stands before the port: localhost for the push, what the image map says for the pull.
    image=:$port/demo/guestbook
    for container in $(docker ps --all --quiet --filter label=layer0.instance); do
        read -r instance name < <(docker inspect --format '{{index .Config.Labels "layer0.instance"}} {{.Config.Image}}' "$container" 2>/dev/null) || continue
        case $name in
        *"$image"[:@]*)
            docker ps --all --quiet --filter "label=layer0.instance=$instance" | xargs --no-run-if-empty docker rm --force >/dev/null
            docker network ls --quiet --filter "label=layer0.instance=$instance" | xargs --no-run-if-empty docker network rm >/dev/null
            ;;
        esac
    done
    docker images --format '{{.Repository}} {{.ID}}' |
        awk -v image="$image" 'substr($1, length($1) - length(image) + 1) == image { print $2 }' | sort -u |
        xargs --no-run-if-empty docker rmi --force >/dev/null
fi

if [ "${KEEP_ENGINE:-0}" = 1 ]; then
    find "$DEMO" -mindepth 1 -maxdepth 1 ! -name 'dockerd.*' -exec rm -rf {} +
else
    engine_stop "$DEMO"
    rm -rf "$DEMO"
fi
say "the demonstration is gone"
