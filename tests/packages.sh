# Sourced by the scripts that test: what they need and is missing is fetched, by name.

PLAYWRIGHT=playwright-core@1.65

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# packaged COMMAND PACKAGE…: Debian's packages, if the command is not there.
packaged() {
    local command=$1
    shift
    PATH=$PATH:/usr/sbin command -v "$command" >/dev/null && return
    as_root apt-get update -q && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"
}

# A browser, and the library that tests drive it with; it brings no browser of its own. From the repository's root.
browser() {
    packaged chromium chromium && packaged npm nodejs npm || return
    [ -d target/node/node_modules/playwright-core ] || npm install --silent --no-save --prefix target/node "$PLAYWRIGHT"
}
