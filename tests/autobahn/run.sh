#!/usr/bin/env bash
# Autobahn's own cases, against `encke serve --echo`. What each case finds is kept in expected.json; any difference fails.
#   tests/autobahn/run.sh              all cases, about five minutes
#   tests/autobahn/run.sh --small      without compressed messages of 64 KiB and more, about one
#   tests/autobahn/run.sh '9.*' 1.1.1  these alone
#   UPDATE=1 tests/autobahn/run.sh     keeps what is found now
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# A runner for Autobahn's case files, which were written for a Python that is no more.
RUNNER=kosoku==0.1.0
TARGET=${CARGO_TARGET_DIR:-target}
PYTHON=$TARGET/autobahn/python
REPORTS=$TARGET/autobahn/reports
LOG=$TARGET/autobahn/server.log
# A message of 16 bytes comes back as it is, because compression would not make it shorter, and RFC 7692 section 6 leaves
# that to the sender. This runner hands it to its case as text, where the case wants bytes, and the case crashes.
CRASHING=(12.{1..5}.1 13.{1..7}.1)
LARGE=({12.{1..5},13.{1..7}}.{9,10,14,15,16,17,18})
# The largest message is of 16 MiB.
OPTIONS=(--listen 127.0.0.1:0 --private 127.0.0.1:0 --echo /echo --heartbeat off
    --body-bytes-max 17MiB --history-bytes 18MiB --history-budget 18MiB)

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# The runner, in a directory of its own.
runner() {
    [ -x "$PYTHON/bin/kosoku" ] && return
    python3 -c 'import ensurepip' 2>/dev/null ||
        { as_root apt-get update -q && as_root apt-get install -qy --no-install-recommends python3-venv; }
    python3 -m venv "$PYTHON"
    "$PYTHON/bin/pip" install --quiet --disable-pip-version-check "$RUNNER"
}

# The address that the server says it listens on, once it does.
address() {
    local line
    while read -r -t 20 line; do
        if [[ $line =~ 'subscribe at http://'([0-9.:]+) ]]; then
            printf '%s' "${BASH_REMATCH[1]}"
            return
        fi
        printf '%s\n' "$line" >&2
    done
    return 1
}

runner
# Optimized, because the cases move gigabytes and some give the server a second.
cargo build --locked --release --bin encke
mkdir -p "$REPORTS"
exec {log}< <(exec "$TARGET/release/encke" serve "${OPTIONS[@]}" 2>&1)
server=$!
trap 'kill "$server"' EXIT
address=$(address <&"$log")
cat <&"$log" >"$LOG" &

without=("${CRASHING[@]}")
if [ "${1:-}" = --small ]; then
    shift
    without+=("${LARGE[@]}")
fi
printf 'not run: %s\n' "${without[*]}"
selection=()
for case in "$@"; do
    selection+=(--include "$case")
done
for case in "${without[@]}"; do
    selection+=(--exclude "$case")
done
# Its own verdict is not asked: what is expected is in expected.json.
"$PYTHON/bin/kosoku" "${selection[@]}" --parallelism 2 --outdir "$REPORTS" "ws://$address/echo" >"$REPORTS/summary.txt" 2>&1 || true
"$PYTHON/bin/python" tests/autobahn/verdicts.py "$REPORTS/index.json" tests/autobahn/expected.json "${selection[@]}"
