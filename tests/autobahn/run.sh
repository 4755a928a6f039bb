#!/usr/bin/env bash
# Autobahn's own cases, against `encke serve --echo`. What each case finds is kept in expected.json; any difference fails.
#   tests/autobahn/run.sh              all cases, about five minutes
#   tests/autobahn/run.sh --small      without compressed messages of 64 KiB and more, about one
#   tests/autobahn/run.sh '9.*' 1.1.1  these alone
#   UPDATE=1 tests/autobahn/run.sh     keeps what is found now
#   ENCKE_BINARY=…/encke tests/autobahn/run.sh    a binary that was built already
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

. tests/packages.sh

# A runner for Autobahn's case files, which were written for a Python that is no more.
RUNNER=kosoku==0.1.0
TARGET=${CARGO_TARGET_DIR:-target}
PYTHON=$TARGET/autobahn/python
REPORTS=$TARGET/autobahn/reports
LOG=$TARGET/autobahn/server.log
LARGE=({12,13}.'*'.{9,10,14,15,16,17,18})
# The largest message is of 16 MiB.
OPTIONS=(--listen 127.0.0.1:0 --private 127.0.0.1:0 --echo /echo --heartbeat off
    --body-bytes-max 17MiB --history-bytes 18MiB --history-budget 18MiB)

# The runner, in a directory of its own.
runner() {
    [ -x "$PYTHON/bin/kosoku" ] && return
    environments
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
if [ -z "${ENCKE_BINARY:-}" ]; then
    cargo build --locked --release --bin encke
    ENCKE_BINARY=$TARGET/release/encke
fi
mkdir -p "$REPORTS"
exec {log}< <(exec "$ENCKE_BINARY" serve "${OPTIONS[@]}" 2>&1)
server=$!
trap 'kill "$server"' EXIT
address=$(address <&"$log")
cat <&"$log" >"$LOG" &

without=()
if [ "${1:-}" = --small ]; then
    shift
    without+=("${LARGE[@]}")
fi
printf 'not run: %s\n' "${without[*]:-nothing}"
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
