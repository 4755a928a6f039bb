#!/usr/bin/env bash
# All tests of the Ruby binding, through calls in C, the ffi gem and Fiddle. Fetches what they need and is missing.
# ENCKE_LIBRARY and ENCKE_BINARY name what is tested; where they are not set, it is built from here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

. tests/packages.sh

packaged curl curl
packaged ruby ruby
packaged puma puma ruby-rack
browser
ruby -e 'require "ffi"' 2>/dev/null || packaged ruby-ffi ruby-ffi

target=${CARGO_TARGET_DIR:-$PWD/target}
if [ -z "${ENCKE_LIBRARY:-}" ]; then
    cargo rustc --locked --release --lib --crate-type cdylib --features library
    export ENCKE_LIBRARY=$target/release/libencke.so
fi
if [ -z "${ENCKE_BINARY:-}" ]; then
    cargo build --locked --release --bin encke
    export ENCKE_BINARY=$target/release/encke
fi

# The calls in C, where Ruby's headers are.
ruby -rrbconfig -e 'exit File.exist?(File.join(RbConfig::CONFIG["rubyhdrdir"], "ruby.h"))' || {
    as_root apt-get update -q && as_root apt-get install -qy --no-install-recommends ruby-dev gcc libc6-dev make
}
packaged rake rake
export ENCKE_RUBY_CALLS=$target/ruby
rake --silent -f bindings/ruby/ext/encke/Rakefile RUBYARCHDIR="$ENCKE_RUBY_CALLS"

cd bindings/ruby
exec ruby -w -Ilib -I"$ENCKE_RUBY_CALLS" -Itests -e 'ARGV.each { |file| require file }' "$PWD"/tests/test_*.rb
