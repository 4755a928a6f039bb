#!/usr/bin/env bash
# All tests of the PHP binding. ENCKE_LIBRARY and ENCKE_BINARY name what is tested; what they do not name is built. Fetches
# what the tests need and is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
root=$(cd ../../.. && pwd)

. "$root/tests/packages.sh"
packaged php php-cli
packaged curl curl
packaged nginx nginx
(cd "$root" && browser)
# The command has PHP's version in its name.
compgen -G '/usr/sbin/php-fpm*' >/dev/null || packaged php-fpm php-fpm

target=${CARGO_TARGET_DIR:-$root/target}
if [ -z "${ENCKE_LIBRARY:-}" ]; then
    (cd "$root" && cargo rustc --locked --release --lib --crate-type cdylib --features library)
    export ENCKE_LIBRARY=$target/release/libencke.so
fi
if [ -z "${ENCKE_BINARY:-}" ]; then
    (cd "$root" && cargo build --locked --release --bin encke)
    export ENCKE_BINARY=$target/release/encke
fi

failed=()
for file in ../autoload.php ../bench.php ../src/*.php ../examples/*.php ../examples/fpm/*.php ./*.php; do
    php -l "$file" >/dev/null || failed+=("$file")
done
for name in serve events fork socket fpm; do
    printf -- '-- %s\n' "$name"
    timeout --kill-after 5 120 php -d display_errors=stderr "$name.php" || failed+=("$name")
done

if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED: %s\n' "${failed[*]}" >&2
    exit 1
fi
