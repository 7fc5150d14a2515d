#!/bin/sh
# Unpack a package of this Debian or Ubuntu into a directory, without root and
# without installing it:  deploy/debian-package.sh PACKAGE DIRECTORY [--with-dependencies]
#
# With dependencies, those that are not installed on this machine are unpacked beside it.
#
# apt keeps its state under var/apt, so that neither root is needed nor package
# lists that somebody has fetched before. Signatures are checked as always.
set -eu

package=$1
target=$(realpath -m "$2")
dependencies=${3:-}

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

# Download the packages; the options say which lists of packages apt reads.
download() {
    rm -f ./*.deb log
    names=$package
    if [ "$dependencies" ]; then
        # A simulated installation names them. A second word in brackets is the installed version
        # of a package that would be updated.
        apt "$@" -s install --no-install-recommends "$package" || return 1
        names=$(sed -n 's/^Inst \([^ ]*\) (.*/\1/p' log | sort -u)
    fi
    # shellcheck disable=SC2086 # names of packages
    apt "$@" download $names
}

# The machine's own lists first: nothing to fetch. They may be absent or stale.
cd "$scratch"
lists=Dir::State::lists=$apt/lists
download || { apt -o "$lists" update && download -o "$lists"; } || {
    tail -n 5 "$scratch/log" >&2
    exit 1
}

# All or nothing: a target that exists is a whole package.
for file in ./*.deb; do dpkg-deb -x "$file" unpacked; done
chmod -R go= unpacked
rm -rf "$target"
mv unpacked "$target"
