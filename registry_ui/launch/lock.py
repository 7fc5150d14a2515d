"""Lock file that limits a ``var`` directory to one run of the launcher (``make run``).

Every process that a run starts inherits the file descriptor of the lock, so the lock is held as
long as any of these processes lives. A new start can therefore find the processes that are left
of an earlier run, even if the launcher was killed.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from ..files import try_lock
from . import LaunchError

ENDING = b"ending"
#: Seconds to wait for an earlier launcher before its run counts as active. A launcher that has
#: just lost its terminal or its ``make`` process ends within this time.
LAUNCHER_TIMEOUT = 1.0
#: Seconds before leftover processes of an earlier run are killed.
KILL_TIMEOUT = 12.0


class RunLock:
    """The lock of one run, on a lock file that contains the process id of the launcher.

    All processes of the run inherit the file descriptor ``descriptor``, which is -1 until the
    lock is acquired.
    """

    def __init__(self, file: Path) -> None:
        self._file = file.resolve()
        self.descriptor = -1

    def acquire(self, timeout: float = KILL_TIMEOUT) -> None:
        """Acquire the lock. Wait for an earlier run to end, and kill its leftover processes.

        Args:
            timeout: seconds until leftover processes are killed; after twice as long, give up.

        Raises:
            LaunchError: another run is active, or its processes do not end.
        """
        start_time = time.monotonic()
        has_killed = False
        while not self._try_acquire():
            waited = time.monotonic() - start_time
            launcher = self._find_launcher()
            if launcher and waited > LAUNCHER_TIMEOUT:
                raise LaunchError(
                    f"it runs already. Stop it with Ctrl-C there, or with: kill {launcher}"
                )
            if waited > timeout and not has_killed:
                has_killed = True
                self._kill_holders()
            if waited > 2 * timeout:
                raise LaunchError(f"processes of an earlier run do not end: {self._find_holders()}")
            time.sleep(0.05)
        self._write(str(os.getpid()).encode())

    def record_ending(self) -> None:
        """Record in the lock file that this run is ending, so that the next start waits for it."""
        self._write(ENDING)

    def _try_acquire(self) -> bool:
        """Try to acquire the lock; return whether that succeeded.

        After a failure the lock file is closed, because every process that has the file open
        counts as part of the run that holds the lock.
        """
        descriptor = try_lock(self._file)
        if descriptor is None:
            return False
        self.descriptor = descriptor
        return True

    def _write(self, text: bytes) -> None:
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, text, 0)

    def _find_launcher(self) -> int | None:
        """Return the process id of the active launcher; None if it has ended or is ending."""
        text = self._file.read_bytes()
        return int(text) if text.isdigit() and int(text) in self._find_holders() else None

    def _kill_holders(self) -> None:
        for process in self._find_holders():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def _find_holders(self) -> set[int]:
        """Return the ids of the processes that have the lock file open."""
        holders = set()
        for link in Path("/proc").glob("[0-9]*/fd/*"):
            with suppress(OSError):
                if link.readlink() == self._file:
                    holders.add(int(link.parts[2]))
        return holders
