#!/usr/bin/env bash
# Everything that must hold, one step after the other. Fetches what the tests need and is missing; a step that cannot
# run has failed. All steps run, then those that failed are named.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

. tests/packages.sh

failed=()

# step NAME COMMAND…
step() {
    local name=$1
    shift
    printf '\n== %s\n' "$name"
    SECONDS=0
    "$@" || failed+=("$name")
    printf '(%s s)\n' "$SECONDS"
}

# The command and the shared library, as users build them. In this order: cargo keeps the library of either in one file, so
# that each of the two is built again after the other, and the steps below ask for the library once more.
release() {
    cargo build --locked --release --bin encke &&
        cargo rustc --locked --release --lib --crate-type cdylib --features library || return
    ENCKE_LIBRARY=$(realpath "${CARGO_TARGET_DIR:-target}/release/libencke.so")
    ENCKE_BINARY=$(realpath "${CARGO_TARGET_DIR:-target}/release/encke")
    export ENCKE_LIBRARY ENCKE_BINARY
}

step 'what the tests need: chromium, playwright-core' browser
step 'what the tests need: compilers for C, valgrind, php, cffi' c_tools
step 'what the tests need: ip, nft, nsenter' cables
step 'format: cargo fmt --check' cargo fmt --check
step 'lints: cargo clippy' cargo clippy --locked --all-targets -- -D warnings
step 'tests: cargo test --all-targets' cargo test --locked --all-targets
step 'examples in the docs: cargo test --doc' cargo test --locked --doc
step 'the command and the shared library: cargo build --release' release
step 'WebSocket: cases of Autobahn, without compressed messages of 64 KiB and more' \
    tests/autobahn/run.sh --small
step 'C: installed, under valgrind and ThreadSanitizer, over ten million messages' tests/ffi/run.sh
step 'Bayeux: cometd.js, faye.js, two clients in Python, one to the letter' tests/bayeux/run.sh
step "The browser's client: logic, types, tabs, pages, cuts, proxies" tests/client.sh
step 'Python' env -u ENCKE_LIBRARY bindings/python/tests/run.sh
step 'PHP' bindings/php/tests/run.sh
step 'Ruby' bindings/ruby/tests/run.sh

if [ ${#failed[@]} -gt 0 ]; then
    printf '\nFAILED: %s' "${failed[@]}" >&2
    printf '\n' >&2
    exit 1
fi
printf '\nAll steps passed.\n'
