#!/usr/bin/env bash
# The browser's client: its logic in virtual time, its types, its size; then in Chromium: tabs, what happens to pages, a
# network that drops sockets, a server that restarts, and the proxies that people have.
#   tests/client.sh              under two minutes
#   tests/client.sh --minute     sockets are dropped for a whole minute
#   ENCKE_BINARY=…/encke tests/client.sh    a binary that was built already
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

. tests/packages.sh
browser
types
proxies

seconds=10
[ "${1:-}" = --minute ] && seconds=60
if [ -z "${ENCKE_BINARY:-}" ]; then
    cargo build --locked --release --bin encke
    ENCKE_BINARY=$(realpath "${CARGO_TARGET_DIR:-target}/release/encke")
fi
export ENCKE_BINARY
# Debian keeps servers where only root looks.
export PATH=$PATH:/usr/sbin

printf -- '-- logic, package, types\n'
node bindings/browser/tools/build.mjs --check
node --test --test-reporter=spec bindings/browser/tests/
target/node/node_modules/.bin/tsc --noEmit --strict --target es2022 --module nodenext --lib es2022,dom bindings/browser/tests/types.ts
printf -- '-- tabs\n'
timeout --kill-after 5 180 node tests/client/tabs.mjs
printf -- '-- pages\n'
timeout --kill-after 5 240 node tests/client/pages.mjs
printf -- '-- cuts\n'
timeout --kill-after 5 240 node tests/client/cuts.mjs "$seconds"
printf -- '-- proxies\n'
timeout --kill-after 5 240 node tests/client/proxies.mjs
