#!/bin/sh
# Make .venv and install pinned requirements:  deploy/venv.sh FILE...
#
# Needs Python 3.11 or newer and nothing else: where Debian has split ensurepip
# off into python3-venv, pip comes from Debian's wheel, unpacked under var/.
# Does nothing when all is as the files say, so it may run before every command.
set -eu
cd "$(dirname "$0")/.."

say() { echo "$*" >&2; }
fail() { say "make: $*"; exit 1; }

# What a note about an installed file says: interpreter, place (scripts in a
# virtual environment carry their path) and the file itself.
note() { .venv/bin/python -V && readlink -f .venv && cat "$1"; }
installed() { note "$1" 2>/dev/null | cmp -s - ".venv/installed-$1"; }

find_python() {
    for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
    done
    say "$(${PYTHON:-python3} -V 2>&1 || true)"
    fail "Python 3.11 or newer is needed: apt install python3, or make PYTHON=/path/to/python3"
}

add_pip() {
    wheels=${REGISTRY_UI_VAR:-var}/debian/python3-pip-whl
    if [ ! -d "$wheels" ]; then
        say "This Python comes without pip: fetching Debian's"
        sh deploy/debian-package.sh python3-pip-whl "$wheels" ||
            fail "pip could not be fetched. Install it and try again: apt install python3-venv"
    fi
    wheel=$(echo "$wheels"/usr/share/python-wheels/pip-*.whl)
    .venv/bin/python "$wheel/pip" install --quiet --no-index --no-deps "$wheel"
}

make_venv() {
    find_python
    say "Making .venv with $("$python" -V)"
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv --clear .venv
    else
        "$python" -m venv --clear --without-pip .venv
        add_pip
    fi
}

install_with_pip() {
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
        --require-hashes --requirement "$1"
}

# Install a file that pins uv with uv itself, which takes a fraction of the time. uv does not read
# pip's configuration, for example the address of a mirror: pip installs what uv can't find.
install_with_uv() {
    grep -q '^uv==' "$1" || return
    awk '/^uv==/ { pin = 1 } pin { print } pin && !/\\$/ { exit }' "$1" >.venv/uv.txt
    install_with_pip .venv/uv.txt || return
    # A file that a full disk cut off would do nothing, and say that it did.
    case $(.venv/bin/uv --version) in "uv "*) ;; *) return 1 ;; esac
    .venv/bin/uv pip install --quiet --require-hashes --python .venv/bin/python --requirement "$1"
}

for file; do
    installed "$file" && continue
    .venv/bin/python -m pip --version >/dev/null 2>&1 || make_venv
    say "Installing $file"
    install_with_uv "$file" 2>/dev/null || install_with_pip "$file" ||
        fail "$file could not be installed; the lines above say why"
    note "$file" >".venv/installed-$file"
done
