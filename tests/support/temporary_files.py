"""Where tests keep their files: in memory, if there is enough of it."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

#: The file system in memory that every Linux has.
MEMORY = Path("/dev/shm")
#: Space in bytes that must be free. A complete run needs a quarter of it.
MIN_FREE = 4 << 30


def keep_files_in_memory(root: Path = MEMORY, min_free: int = MIN_FREE) -> None:
    """Let this process, and all that it starts, create temporary files in memory.

    Tests create some hundred thousand small files, and registries and databases wait until a disk
    has stored them. Does nothing if TMPDIR is set, if there is too little memory, or if programs
    can't be run from there, as in most containers.
    """
    if "TMPDIR" in os.environ or not root.is_dir():
        return
    status = os.statvfs(root)
    if status.f_bavail * status.f_frsize < min_free or status.f_flag & os.ST_NOEXEC:
        return
    folder = root / f"registry_ui-tests-{os.getuid()}"
    with suppress(OSError):
        folder.mkdir(mode=0o700)
    try:
        descriptor = os.open(folder, os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        if os.fstat(descriptor).st_uid != os.getuid():
            return
        # Root runs PostgreSQL as another user, who has to get through, but can't list the folder.
        os.fchmod(descriptor, 0o711)
    finally:
        os.close(descriptor)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
