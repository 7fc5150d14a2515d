#!/bin/sh
# Unpack a package of this Debian or Ubuntu into a directory, without root and
# without installing it:  deploy/debian-package.sh PACKAGE DIRECTORY
#
# apt keeps its state under var/apt, so that neither root is needed nor package
# lists that somebody has fetched before. Signatures are checked as always.
set -eu

package=$1
target=$(realpath -m "$2")

for tool in apt-get dpkg-deb; do
    command -v "$tool" >/dev/null || { echo "there is no $tool on this machine" >&2; exit 1; }
done

umask 077
apt=$(realpath -m "${REGISTRY_UI_VAR:-var}/apt")
mkdir -p "$apt/lists/partial" "$apt/cache" "$(dirname "$target")"
scratch=$(mktemp -d "$apt/XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' HUP INT TERM

apt() {
    apt-get -qq -o Debug::NoLocking=1 -o APT::Sandbox::User=root -o Acquire::GzipIndexes=true \
        -o Acquire::Languages=none \
        -o Dir::Cache="$apt/cache" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
        "$@" >>"$scratch/log" 2>&1
}

# The machine's own lists first: nothing to fetch. They may be absent or stale.
cd "$scratch"
lists=Dir::State::lists=$apt/lists
apt download "$package" || { apt -o "$lists" update && apt -o "$lists" download "$package"; } || {
    tail -n 5 "$scratch/log" >&2
    exit 1
}

# All or nothing: a target that exists is a whole package.
dpkg-deb -x ./*.deb unpacked
chmod -R go= unpacked
rm -rf "$target"
mv unpacked "$target"
