#!/bin/sh
# Add the programs of deploy/test-packages.txt that this machine lacks:  deploy/test-programs.sh
#
# Root installs them. Everybody else gets what works without being installed, unpacked under
# var/debian/tests, with a command for each program in its bin/. Nothing here is an error:
# the tests of a program that is still missing are skipped, or fail in CI.
set -eu
cd "$(dirname "$0")/.."

unpacked=${REGISTRY_UI_VAR:-var}/debian/tests
policy=/usr/sbin/policy-rc.d
PATH=$PATH:/usr/sbin
for directory in /usr/lib/postgresql/*/bin; do PATH=$PATH:$directory; done

say() { echo "$*" >&2; }

# Whether this machine has one of these programs or files, separated by commas.
has() (
    IFS=,
    # shellcheck disable=SC2086 # the path of a file can be a pattern
    for name in $1; do command -v "$name" >/dev/null && exit; done
    exit 1
)

find_missing() {
    grep -v '^#' deploy/test-packages.txt | while read -r programs package how; do
        has "$programs" || echo "$programs $package $how"
    done
}

# -- as root -----------------------------------------------------------------------

# The servers are for the tests, which start their own: Debian's services stay down.
keep_services_down() {
    [ ! -e "$policy" ] || return 0
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" </dev/null 2>&1; }

# Of these packages, those that this release of Debian or Ubuntu has.
known() {
    for package; do
        ! apt -s install --no-install-recommends "$package" >/dev/null || echo "$package"
    done
}

install() {
    output=$(apt -o DPkg::Lock::Timeout=120 install --yes --no-install-recommends "$@")
}

install_packages() {
    ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || apt update >/dev/null || true
    # shellcheck disable=SC2046 # names of packages
    set -- $(known "$@")
    [ $# -gt 0 ] || return 0
    say "Installing for the tests: $*"
    keep_services_down
    # The lists of packages may be older than the packages.
    install "$@" || { apt update >/dev/null && install "$@"; } ||
        say "These could not be installed: $(echo "$output" | tail -n 5)"
}

# -- as anybody else ---------------------------------------------------------------

# A package that can't be had, for example without a network, is asked for once a day.
unpack_package() {
    [ ! -d "$unpacked/$1" ] || return 0
    [ -z "$(find "$unpacked/$1.failed" -mtime -1 2>/dev/null)" ] || return 1
    say "Unpacking for the tests, under $unpacked: $1"
    output=$(sh deploy/debian-package.sh "$1" "$unpacked/$1" --with-dependencies </dev/null 2>&1) || {
        say "That did not work: $output"
        touch "$unpacked/$1.failed"
        return 1
    }
}

# Write a command that runs an unpacked program with its libraries, if all of these are there.
write_command() {
    root=$(realpath "$unpacked/$2")
    command=$unpacked/bin/$1
    # Chromium's own program comes before a script with the paths of an installed one.
    program=$(find "$root" -path "*/usr/lib/*/$1" -type f -perm -u+x | head -n 1)
    [ "$program" ] || program=$(find "$root" -path "*bin/$1" -perm -u+x | head -n 1)
    libraries=$(find "$root" -name 'lib*.so*' -printf '%h\n' | sort -u | paste -sd :)
    if [ -z "$program" ] || LD_LIBRARY_PATH=$libraries ldd "$program" 2>&1 | grep -q 'not found'
    then
        rm -f "$command"
        return
    fi
    # So that Chromium finds the fonts that it depends on.
    fonts=$root/etc/fonts
    [ ! -d "$fonts" ] || sed "s|>/usr/share|>$root/usr/share|" "$fonts/fonts.conf" >"$fonts/here.conf"
    {
        echo '#!/bin/sh'
        echo "export LD_LIBRARY_PATH=\"$libraries\""
        [ ! -d "$fonts" ] || echo "export FONTCONFIG_FILE=\"$fonts/here.conf\""
        echo "exec \"$program\" \"\$@\""
    } >"$command.new"
    chmod 755 "$command.new"
    mv "$command.new" "$command"
}

missing=$(find_missing)
[ "$missing" ] && command -v apt-get >/dev/null || exit 0

if [ "$(id -u)" = 0 ]; then
    # shellcheck disable=SC2046 # names of packages
    install_packages $(echo "$missing" | cut -d ' ' -f 2 | sort -u)
    exit
fi

umask 077
mkdir -p "$unpacked/bin"
echo "$missing" | while read -r programs package how; do
    [ -z "$how" ] && unpack_package "$package" || continue
    case $programs in /*) ;; *) write_command "${programs%%,*}" "$package" ;; esac
done
