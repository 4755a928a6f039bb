#!/usr/bin/env bash
# Everything that must hold, one step after the other. Fetches what the tests need and is missing; a step that cannot
# run has failed. All steps run, then those that failed are named.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

. tests/packages.sh

TARGET=${CARGO_TARGET_DIR:-target}
failed=()
# By name: the processes that run beside, and where what they print is kept until it is their turn.
declare -A beside
LOGS=$(mktemp -d)
trap 'rm -rf "$LOGS"' EXIT

# step NAME COMMAND…
step() {
    local name=$1
    shift
    printf '\n== %s\n' "$name"
    SECONDS=0
    "$@" || failed+=("$name")
    printf '(%s s)\n' "$SECONDS"
}

# begin NAME COMMAND…: runs beside the steps that follow, up to `step NAME finish NAME`.
begin() {
    local name=$1
    shift
    { time "$@"; } >"$LOGS/$name" 2>&1 &
    beside[$name]=$!
}

finish() {
    local code=0
    wait "${beside[$1]}" || code=$?
    cat "$LOGS/$1"
    return "$code"
}

# The command and the shared library, as users build them, and what counts. In this order: cargo keeps the library of either
# in one file, so that each of the two is built again after the other, and the steps below ask for the library once more.
release() {
    nice cargo build --locked --release --bins --package encke --package counts &&
        nice cargo rustc --locked --release --lib --crate-type cdylib --features library
}

# Says how large they are, and where for the steps below.
released() {
    finish release || return
    ENCKE_LIBRARY=$(realpath "$TARGET/release/libencke.so")
    ENCKE_BINARY=$(realpath "$TARGET/release/encke")
    export ENCKE_LIBRARY ENCKE_BINARY
    size "$ENCKE_BINARY" "$ENCKE_LIBRARY"
}

step 'what the tests need: chromium, playwright-core' browser
step 'what the tests need: compilers for C, valgrind, php, cffi' c_tools
step 'what the tests need: ip, nft, nsenter' cables
step 'format: cargo fmt --check' cargo fmt --all --check
step 'lints: cargo clippy' cargo clippy --locked --workspace --all-targets -- -D warnings
step 'tests are built: cargo test --no-run' cargo test --locked --workspace --all-targets --no-run
# Tests wait more than they work.
begin release release
step 'tests: cargo test --all-targets' cargo test --locked --workspace --all-targets
step 'examples in the docs: cargo test --doc' cargo test --locked --doc
step 'the command and the shared library: cargo build --release' released
step 'instructions and allocations, as counted before' "$TARGET/release/counts"
step 'WebSocket: cases of Autobahn, without compressed messages of 64 KiB and more' \
    tests/autobahn/run.sh --small
step 'Bayeux: cometd.js, faye.js, two clients in Python, one to the letter' tests/bayeux/run.sh
step "The browser's client: logic, types, tabs, pages, cuts, proxies" tests/client.sh
step 'C: installed, under valgrind and ThreadSanitizer, over ten million messages' tests/ffi/run.sh
begin python env -u ENCKE_LIBRARY bindings/python/tests/run.sh
begin php bindings/php/tests/run.sh
step 'Ruby' bindings/ruby/tests/run.sh
step 'Python, beside Ruby' finish python
step 'PHP, beside Ruby' finish php

if [ ${#failed[@]} -gt 0 ]; then
    printf '\nFAILED: %s' "${failed[@]}" >&2
    printf '\n' >&2
    exit 1
fi
printf '\nAll steps passed.\n'
