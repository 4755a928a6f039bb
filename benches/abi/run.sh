#!/usr/bin/env bash
# What a publish costs within a program: in C, then from Python, PHP and Ruby where they are installed (or those that
# the arguments name: c python php ruby), each beside a call that does nothing. Needs a quiet machine with two cores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

target=${CARGO_TARGET_DIR:-$PWD/target}
cargo rustc --locked --quiet --release --lib --crate-type cdylib --features library
cargo build --locked --quiet --release --bin encke
ln -sf libencke.so "$target/release/libencke.so.0"
export ENCKE_LIBRARY=$target/release/libencke.so ENCKE_BINARY=$target/release/encke

c() {
    cc -O2 -std=gnu11 -Wall -Werror -Iinclude benches/abi/publish.c -o "$target/release/abi-publish" \
        "$ENCKE_LIBRARY" -Wl,-rpath,"$target/release" -pthread
    "$target/release/abi-publish"
}

python() {
    local environment=target/python/bench
    [ -x "$environment/bin/python" ] || python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check --force-reinstall ./bindings/python
    "$environment/bin/python" bindings/python/bench.py
}

php() {
    command php bindings/php/bench.php
}

ruby() {
    rake --silent -f bindings/ruby/ext/encke/Rakefile RUBYARCHDIR="$target/ruby"
    command ruby -Ibindings/ruby/lib -I"$target/ruby" bindings/ruby/bench.rb
}

[ $# -gt 0 ] || set -- c python php ruby
for language in "$@"; do
    printf '\n== %s\n' "$language"
    "$language"
done
