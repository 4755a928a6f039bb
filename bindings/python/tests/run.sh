#!/usr/bin/env bash
# Builds the package as pip does, installs it into an environment of its own under target/python, checks its types and
# runs its tests. ENCKE_LIBRARY and ENCKE_BINARY name a prebuilt library and command; what is not named is built.
# Arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
. tests/packages.sh

ENVIRONMENT=target/python/environment
PACKAGE=bindings/python

# Without ensurepip there are no environments, and without the headers no extensions.
can_build='import ensurepip, os, sysconfig; assert os.path.exists(sysconfig.get_path("include") + "/Python.h")'
packaged curl curl
browser
packaged gcc gcc libc6-dev
packaged python3 python3 python3-venv python3-dev
python3 -c "$can_build" 2>/dev/null || {
    debian python3-venv python3-dev
}

if [ -z "${ENCKE_BINARY:-}" ]; then
    cargo build --locked --release --bin encke
    ENCKE_BINARY=$(realpath "${CARGO_TARGET_DIR:-target}/release/encke")
fi
export ENCKE_BINARY

[ -x "$ENVIRONMENT/bin/python" ] || python3 -m venv "$ENVIRONMENT"
"$ENVIRONMENT/bin/pip" install --quiet --disable-pip-version-check --requirement "$PACKAGE/tests/requirements.txt"
"$ENVIRONMENT/bin/pip" install --quiet --disable-pip-version-check --force-reinstall --no-deps "./$PACKAGE"

"$ENVIRONMENT/bin/mypy" --cache-dir target/python/mypy --strict --package encke
"$ENVIRONMENT/bin/python" -m pytest --rootdir "$PACKAGE" "$PACKAGE/tests" -p no:cacheprovider "$@"
