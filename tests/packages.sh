# Sourced by the scripts that test: what they need and is missing is fetched, by name.

PLAYWRIGHT=playwright-core@1.65
TYPESCRIPT=typescript@5.9.2

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# debian PACKAGE…: Debian's packages. Tests that run beside each other fetch them one after the other.
debian() {
    (
        flock 9
        as_root apt-get update -q && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"
    ) 9>"${TMPDIR:-/tmp}/encke-packages.lock"
}

# packaged COMMAND PACKAGE…: the same, if the command is not there.
packaged() {
    local command=$1
    shift
    PATH=$PATH:/usr/sbin command -v "$command" >/dev/null && return
    debian "$@"
}

# What environments of Python's are made with: Debian has it apart from Python.
environments() {
    packaged python3 python3 python3-venv || return
    python3 -c 'import ensurepip' 2>/dev/null && return
    debian python3-venv
}

# A browser, and the library that tests drive it with; it brings no browser of its own. From the repository's root.
browser() {
    packaged chromium chromium && packaged npm nodejs npm || return
    [ -d target/node/node_modules/playwright-core ] || npm install --silent --no-save --prefix target/node "$PLAYWRIGHT"
}

# The compiler that checks the types of the browser's client, beside that library.
types() {
    packaged npm nodejs npm || return
    [ -d target/node/node_modules/typescript ] || npm install --silent --no-save --prefix target/node "$PLAYWRIGHT" "$TYPESCRIPT"
}

# The proxies that the browser's client is tested behind.
proxies() {
    packaged nginx nginx && packaged haproxy haproxy && packaged varnishd varnish gcc libc6-dev
}

# Networks with cables between them, and firewalls there.
cables() {
    packaged ip iproute2 && packaged nft nftables && packaged nsenter util-linux
}

# Compilers for C and C++ and what they are used with, checkers of memory, and the languages that read the C header.
c_tools() {
    packaged gcc gcc libc6-dev || return
    packaged g++ g++ || return
    packaged make make || return
    packaged nm binutils || return
    packaged cmake cmake || return
    packaged pkg-config pkg-config || return
    packaged valgrind valgrind || return
    packaged curl curl || return
    packaged php php-cli || return
    packaged python3 python3 python3-pip || return
    # Debian's own Python asks for the flag, others may not know it.
    python3 -c 'import cffi' 2>/dev/null || python3 -m pip install --quiet cffi 2>/dev/null ||
        python3 -m pip install --quiet --break-system-packages cffi
}
