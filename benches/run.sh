#!/usr/bin/env bash
# Measures rows of the table (all but the extra ones, if none is named), each server on one core and its clients on the other:
#   benches/run.sh [ROW… | --all] [--write] [--calibrate] [--no-peers]
#   benches/run.sh abi [LANGUAGE…]     what a publish costs within a program: benches/abi/run.sh
#   benches/run.sh profile [SECONDS]   where a delivery's time goes, by perf
#   benches/run.sh --plot              the pictures and pages anew, out of the data
#   benches/run.sh --install-peers     the servers to compare with, by name: from Debian, and from npm
# --write keeps what was measured in benches/measured, and writes the pictures, the table and the page on capacity.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

. tests/packages.sh

target=${CARGO_TARGET_DIR:-$PWD/target}
FAYE=faye@1.4.3
NCHAN=/usr/lib/nginx/modules/ngx_nchan_module.so

install_peers() {
    packaged nginx nginx && packaged npm nodejs npm || return
    [ -e "$NCHAN" ] || { as_root apt-get update -q && as_root apt-get install -qy --no-install-recommends libnginx-mod-nchan; } || return
    mkdir -p "$target/peers"
    npm install --silent --no-save --prefix "$target/peers" "$FAYE"
}

# profile [SECONDS]: where the server's core was while messages went to 10,000 connections, sampled by perf. Kernel and program
# apart; then the system calls, each with all below it; then what the program did itself.
profile() {
    local seconds=${1:-5} folder=$target/profile
    packaged perf linux-perf
    mkdir -p "$folder"
    rm -f "$folder/pid"
    cargo build --locked --quiet --release --bin encke
    cargo bench --locked --quiet --bench table --no-run
    # The program is started through a script that says which process it becomes.
    printf '#!/bin/sh\necho $$ >"%s/pid.new" && mv "%s/pid.new" "%s/pid"\nexec "%s" "$@"\n' \
        "$folder" "$folder" "$folder" "$target/release/encke" >"$folder/encke"
    chmod +x "$folder/encke"
    ENCKE_BENCH_SERVER=$folder/encke cargo bench --locked --quiet --bench table -- broadcast --no-peers >"$folder/bench.log" &
    local bench=$!
    while [ ! -e "$folder/pid" ] && kill -0 "$bench"; do sleep 0.1; done
    # Parked by then, and at it.
    sleep 2
    perf record -q -e cpu-clock -F 5000 -g -o "$folder/data" -p "$(cat "$folder/pid")" -- sleep "$seconds" || true
    wait "$bench" || true
    report() { perf report -i "$folder/data" -g none --stdio --percent-limit 0.5 "$@" 2>/dev/null | grep -v '^#' | grep .; }
    printf '== by program\n' && report --no-children --sort dso
    printf '== system calls\n' && report --children --sort sym | grep -E '_sys_[a-z_0-9]+$' || true
    printf '== by function, the program itself\n' && report --no-children --sort dso,sym | grep -v kernel || true
}

case ${1:-} in
--install-peers) install_peers ;;
abi) shift && exec benches/abi/run.sh "$@" ;;
profile) shift && profile "$@" ;;
*) exec cargo bench --locked --quiet --bench table -- "$@" ;;
esac
