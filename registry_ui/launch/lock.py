"""One run per ``var``. The lock lives as long as any process of the run.

Its file descriptor is inherited by every process that a run starts. So a new start knows
for sure whether something of an earlier run is left, and that it is ours, even after the
launcher was killed.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from . import LaunchError

ENDING = b"ending"
#: A launcher that lost its terminal or its make just now still looks alive.
SECOND_LOOK = 1.0
PATIENCE = 12.0


class RunLock:
    """The lock of one run. ``descriptor`` is what its processes inherit."""

    def __init__(self, file: Path) -> None:
        self._file = file.resolve()
        self.descriptor = -1

    def acquire(self, patience: float = PATIENCE) -> None:
        """Take the lock; wait for an earlier run that is ending, and end what is left of it.

        Raises:
            LaunchError: another run is alive, or does not go away.
        """
        start = time.monotonic()
        killed = False
        while not self._try():
            waited = time.monotonic() - start
            launcher = self._launcher()
            if launcher and waited > SECOND_LOOK:
                raise LaunchError(
                    f"it runs already. Stop it with Ctrl-C there, or with: kill {launcher}"
                )
            if waited > patience and not killed:
                killed = True
                self._kill_holders()
            if waited > 2 * patience:
                raise LaunchError(f"processes of an earlier run do not end: {self._holders()}")
            time.sleep(0.05)
        self._note(str(os.getpid()).encode())

    def note_ending(self) -> None:
        """Tell the next start that it need only wait."""
        self._note(ENDING)

    def _try(self) -> bool:
        """Open the file for the try alone: who has it open is taken to be of the run."""
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self.descriptor = descriptor
        return True

    def _note(self, text: bytes) -> None:
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, text, 0)

    def _launcher(self) -> int | None:
        """Return the process that runs now, None if it is gone or ending."""
        text = self._file.read_bytes()
        return int(text) if text.isdigit() and int(text) in self._holders() else None

    def _kill_holders(self) -> None:
        for process in self._holders():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def _holders(self) -> set[int]:
        """Return the processes that have the lock's file open."""
        holders = set()
        for link in Path("/proc").glob("[0-9]*/fd/*"):
            with suppress(OSError):
                if link.readlink() == self._file:
                    holders.add(int(link.parts[2]))
        return holders
