#!/usr/bin/env bash
# Real Bayeux clients, and a plain one that keeps to the specification's letter, against a server.
#   tests/bayeux/run.sh                       all cases against an `encke serve` of its own, under two minutes
#   tests/bayeux/run.sh cometd-node kill      those alone whose name begins so; --list shows the names
#   tests/bayeux/run.sh --kill 60             sockets are killed for sixty seconds instead of ten
#   BAYEUX_SERVER='PUBLIC PRIVATE' tests/bayeux/run.sh     against a server that runs already, with the same timeouts
#   ENCKE_BINARY=…/encke tests/bayeux/run.sh  a binary that was built already
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

. tests/packages.sh

CLIENTS=(cometd@9.0.0 cometd-nodejs-client@2.0.0 faye@1.4.3 ws@8.23.0)
PYTHON_CLIENTS=(aiocometd-ng==0.5.6 baiocas==2.0.0 aiohttp==3.14.5 tornado==6.6.1)
HOME_OF_CLIENTS=target/bayeux
LOG=$HOME_OF_CLIENTS/server.log
# Some clients run in pages of another origin, and may publish all the same. A session is over after five seconds without a
# connect. Faye's client gives a connect up, and what its answer brings, a fifth of the timeout after that: a busy machine
# must not take so long. The history holds more than a killed session can miss.
OPTIONS=(--listen 127.0.0.1:0 --private 127.0.0.1:0 --history-messages 50000 --history-bytes 64MiB --channels-max 100000
    --origin http://elsewhere.localhost --bayeux-publish '/faye-chromium-cross-origin-long-polling/**'
    --bayeux-timeout 5s --bayeux-interval 0 --bayeux-max-interval 5s)

# The clients, in directories of their own; what was installed stays until its name or version changes.
clients() {
    packaged node nodejs && packaged npm npm && browser || return
    local wanted="${CLIENTS[*]} ${PYTHON_CLIENTS[*]}"
    [ "$(cat "$HOME_OF_CLIENTS/installed" 2>/dev/null)" = "$wanted" ] && return
    mkdir -p "$HOME_OF_CLIENTS"
    npm install --silent --no-save --prefix "$HOME_OF_CLIENTS" "${CLIENTS[@]}" || return
    environments || return
    python3 -m venv "$HOME_OF_CLIENTS/python" || return
    "$HOME_OF_CLIENTS/python/bin/pip" install --quiet --disable-pip-version-check "${PYTHON_CLIENTS[@]}" || return
    printf '%s\n' "$wanted" >"$HOME_OF_CLIENTS/installed"
}

# The two addresses that the server says it listens on, once it does.
addresses() {
    local line public='' private=''
    while read -r -t 20 line; do
        [[ $line =~ 'subscribe at http://'([0-9.:]+) ]] && public=${BASH_REMATCH[1]}
        [[ $line =~ '"publish at http://'([0-9.:]+) ]] && private=${BASH_REMATCH[1]}
        if [ -n "$public" ] && [ -n "$private" ]; then
            printf '%s %s' "$public" "$private"
            return
        fi
        [[ $line =~ 'http://' ]] || printf '%s\n' "$line" >&2
    done
    return 1
}

clients
if [ -z "${BAYEUX_SERVER:-}" ]; then
    if [ -z "${ENCKE_BINARY:-}" ]; then
        cargo build --locked --release --bin encke
        ENCKE_BINARY=${CARGO_TARGET_DIR:-target}/release/encke
    fi
    exec {log}< <(exec "$ENCKE_BINARY" serve "${OPTIONS[@]}" 2>&1)
    server=$!
    trap 'kill "$server"' EXIT
    BAYEUX_SERVER=$(addresses <&"$log")
    cat <&"$log" >"$LOG" &
fi
# Two addresses, hence without quotes.
# shellcheck disable=SC2086
node tests/bayeux/suite.mjs $BAYEUX_SERVER --timeout 5000 --max-interval 5000 "$@"
