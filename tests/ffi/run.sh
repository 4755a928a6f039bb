#!/usr/bin/env bash
# The C library's heavier runs: installed and compiled against, under valgrind, under ThreadSanitizer, ten million messages.
# Fetches what it needs and is missing. Each check prints a line; the first that fails ends it. Takes two to five minutes, most
# of it compilers, and a fraction of that when run again. The lighter runs are tests/ffi.rs and tests/header.rs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

. tests/packages.sh

export CARGO_TARGET_DIR
CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-target}")
SCRATCH=$CARGO_TARGET_DIR/ffi
PREFIX=$SCRATCH/prefix
HOST=$(rustc -vV | sed -n 's/^host: //p')

holds() { printf 'ok: %s\n' "$1"; }

# quiet COMMAND…: what it prints is shown only if it fails.
quiet() {
    "$@" >"$SCRATCH/log" 2>&1 || { cat "$SCRATCH/log" >&2; return 1; }
}

# program NAME LIBRARY FLAG…: compiles tests/ffi/NAME.c into the folder of LIBRARY, which it is to run with.
program() {
    local name=$1 folder
    folder=$(dirname "$2")
    ln -sf "$(basename "$2")" "$folder/libencke.so.0"
    gcc -std=gnu11 -g -O1 -Wall -Wextra -pthread -Iinclude "${@:3}" "tests/ffi/$name.c" "$folder/libencke.so.0" \
        -Wl,-rpath,"$folder" -o "$folder/$name"
}

installed() {
    quiet make -C bindings/c
    rm -rf "$PREFIX"
    quiet make -C bindings/c install PREFIX="$PREFIX"
    local library=$PREFIX/lib/libencke.so.0 name
    for name in $(nm -D --defined-only "$library" | awk '{ print $3 }'); do
        [[ $name == encke_* ]] || { printf 'exported: %s\n' "$name" >&2; return 1; }
    done
    holds 'nothing is exported but encke_*'
    readelf -d "$library" >"$SCRATCH/dynamic"
    grep -q 'SONAME.*\[libencke\.so\.0\]' "$SCRATCH/dynamic"
    grep -q 'FLAGS_1.*NODELETE' "$SCRATCH/dynamic"
    # With it, a process that has been running for a while might have no room to load the library.
    if grep -q STATIC_TLS "$SCRATCH/dynamic"; then return 1; fi
    holds 'its name is libencke.so.0, it is never unloaded, its thread-locals need no room at the start'
}

# greeted PROGRAM: the example hello, which somebody listens to.
greeted() {
    local line hello listener
    coproc HELLO { exec env LD_LIBRARY_PATH="$PREFIX/lib" "$1"; }
    hello=$HELLO_PID
    read -r -t 20 line <&"${HELLO[0]}"
    [[ $line =~ 127\.0\.0\.1:[0-9]+ ]]
    exec {listener}< <(exec curl -sN --max-time 30 "http://${BASH_REMATCH[0]}/sub/hello?transport=sse")
    read -r -t 20 line <&"$listener"
    printf 'Ann\n' >&"${HELLO[1]}"
    while [ "$line" != 'data: Hello, Ann!' ]; do
        read -r -t 20 line <&"$listener"
    done
    exec {HELLO[1]}>&-
    wait "$hello"
    exec {listener}<&-
}

by_pkg_config() {
    export PKG_CONFIG_PATH=$PREFIX/lib/pkgconfig
    local name flags
    [ "$(pkg-config --modversion encke)" = "$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)" ]
    read -ra flags < <(pkg-config --cflags --libs encke)
    for name in publish judge; do
        cc "bindings/c/$name.c" "${flags[@]}" -o "$SCRATCH/$name"
    done
    c++ -std=c++17 bindings/c/hello.cpp "${flags[@]}" -o "$SCRATCH/hello"
    awk '/^```$/ && code { exit } code; /^```c$/ { code = 1 }' bindings/c/README.md >"$SCRATCH/readme.c"
    cc -Wall -Wextra -Werror "$SCRATCH/readme.c" "${flags[@]}" -o "$SCRATCH/readme"
    greeted "$SCRATCH/hello"
    holds 'the examples, and the one in the README, are compiled by pkg-config; a message gets through'
}

by_cmake() {
    quiet cmake -S bindings/c -B "$SCRATCH/cmake"
    quiet cmake --build "$SCRATCH/cmake"
    greeted "$SCRATCH/cmake/hello"
    holds 'the examples are compiled by CMake, and a message gets through'
}

# With the system's allocator, which valgrind sees.
no_leaks() {
    quiet cargo test --locked --no-run --test ffi
    local library=$SCRATCH/plain/libencke.so
    mkdir -p "$SCRATCH/plain"
    cp "$CARGO_TARGET_DIR/debug/deps/libencke.so" "$library"
    [ -z "$(nm "$library" | grep mi_malloc)" ]
    program start_stop "$library"
    quiet valgrind --leak-check=full --error-exitcode=1 --errors-for-leak-kinds=definite "$SCRATCH/plain/start_stop" 100
    holds 'valgrind finds no error and no leak in a hundred servers'
}

# Rust's standard library is built anew, so that every access is seen and nothing has to be suppressed. The sanitizer's
# runtime is the one that comes with rustc: gcc's lacks functions that rustc calls. The sanitizer does not know fences: std
# and crossbeam, once told of it, use other means where they would need them.
no_races() {
    local sources name runtime
    sources=$(rustc --print sysroot)/lib/rustlib/src/rust/library
    [ -d "$sources" ] || quiet rustup component add rust-src
    RUSTC_BOOTSTRAP=1 RUSTFLAGS='-Zsanitizer=thread --cfg crossbeam_sanitize_thread' \
        quiet cargo rustc --locked --lib --crate-type cdylib -Zbuild-std=std,panic_unwind --target "$HOST" \
        --target-dir "$CARGO_TARGET_DIR/thread" --config profile.dev.opt-level=1
    local folder=$CARGO_TARGET_DIR/thread/$HOST/debug
    runtime=$(find "$(rustc --print target-libdir)" -name 'librustc*_rt.tsan.a')
    for name in stress start_stop last_words stop_wakes fork wrong_use guest channel reload; do
        gcc -std=gnu11 -g -O1 -fsanitize=thread -Iinclude -c "tests/ffi/$name.c" -o "$folder/$name.o"
        gcc -pthread "$folder/$name.o" -L"$folder" -lencke -Wl,-rpath,"$folder" \
            -Wl,--whole-archive "$runtime" -Wl,--no-whole-archive -Wl,--export-dynamic -ldl -lrt -lm -lresolv -o "$folder/$name"
    done
    ln -sf libencke.so "$folder/libencke.so.0"
    # A child that starts a server of its own has threads, too.
    export TSAN_OPTIONS='halt_on_error=1 history_size=4 die_after_fork=0'
    quiet "$folder/stress" 40
    quiet "$folder/start_stop" 100
    quiet "$folder/last_words" 50
    quiet "$folder/stop_wakes"
    quiet "$folder/fork"
    quiet "$folder/wrong_use"
    quiet "$folder/guest"
    quiet "$folder/channel"
    quiet "$folder/reload"
    holds 'ThreadSanitizer finds no race: eight threads, a hundred servers, forks, wrong use, clients that vanish'
}

# With the allocator of the library as it is installed.
memory_comes_back() {
    local folder=$SCRATCH/full
    mkdir -p "$folder"
    cp "$PREFIX/lib/libencke.so.0" "$folder/libencke.so"
    program leak "$folder/libencke.so" -O2
    "$folder/leak" 10000000 10000
    holds 'ten million messages and ten thousand subscribers leave nothing behind'
}

mkdir -p "$SCRATCH"
c_tools
installed
by_pkg_config
by_cmake
no_leaks
no_races
memory_comes_back
printf 'All of it holds.\n'
