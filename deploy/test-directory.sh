#!/bin/sh
# Print the directory for temporary files of the tests: TMPDIR=$(sh deploy/test-directory.sh)
#
# In memory, a run takes a twentieth less: tests make thousands of databases and registries that
# nobody reads again. It has to hold all of them, and let programs run.
set -u

directory=${TMPDIR:-/tmp}
memory=/dev/shm
needed=6000000 # kilobytes

free=$(df -k "$memory" 2>/dev/null | awk 'END { print $4 }')
if [ "${free:-0}" -gt "$needed" ] && file=$(mktemp -p "$memory" 2>/dev/null); then
    printf '#!/bin/sh\n' >"$file"
    chmod 700 "$file"
    ! "$file" 2>/dev/null || directory=$memory
    rm -f "$file"
fi
echo "$directory"
