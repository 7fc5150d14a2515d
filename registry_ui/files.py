"""Private files, which only the user who runs this process can read, and locks on files."""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import suppress
from pathlib import Path


def private_directory(path: Path) -> Path:
    """Create a directory if needed, set its mode to 0700, and return it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_private(path: Path, text: str) -> None:
    """Write or replace a file with mode 0600. A reader never sees a partial file."""
    temporary = _write_temporary(path, text)
    temporary.replace(path)


def write_private_once(path: Path, text: str) -> None:
    """Write a file with mode 0600, unless it exists. An existing file is never overwritten."""
    temporary = _write_temporary(path, text)
    with suppress(FileExistsError):
        os.link(temporary, path)
    temporary.unlink()


def try_lock(path: Path) -> int | None:
    """Lock a file, which is created if needed, unless a process holds its lock.

    The lock is held until every copy of the descriptor is closed. Child processes that inherit the
    descriptor hold the lock, too. If the lock can't be acquired, the file is closed.

    Returns:
        The file descriptor that holds the lock; None if a process holds the lock already.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _write_temporary(path: Path, text: str) -> Path:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)
