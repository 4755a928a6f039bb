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
    "$@" || failed+=("$name")
}

step 'what the tests need: chromium, playwright-core' browser
step 'format: cargo fmt --check' cargo fmt --check
step 'lints: cargo clippy' cargo clippy --locked --all-targets -- -D warnings
step 'tests: cargo test --all-targets' cargo test --locked --all-targets
step 'WebSocket: cases of Autobahn, without compressed messages of 64 KiB and more' \
    tests/autobahn/run.sh --small
step 'examples in the docs: cargo test --doc' cargo test --locked --doc

if [ ${#failed[@]} -gt 0 ]; then
    printf '\nFAILED: %s' "${failed[@]}" >&2
    printf '\n' >&2
    exit 1
fi
printf '\nAll steps passed.\n'
