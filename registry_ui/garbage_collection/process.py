"""The registry's collector as a process of ours: started, listened to, ended, never two at once."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

from config import PREFIX, ROOT

from . import exclusive_process
from .output_parser import CollectorOutput

#: Seconds that it has to end by itself.
END_PATIENCE = 20.0
#: Seconds that what it said may take to be read; something that it started may go on saying.
READ_PATIENCE = 2.0
#: No line of a collector is longer; what is, is read in pieces.
READ_AT_ONCE = 8192


class Collector:
    """A run of the collector.

    Args:
        command: its words.
        lock: a file, locked as long as anything of it lives.
    """

    def __init__(self, command: tuple[str, ...], lock: Path) -> None:
        self.collected = CollectorOutput()
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                exclusive_process.__name__,
                str(os.getpid()),
                str(lock),
                *command,
            ],
            cwd=ROOT,
            env=_environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A group of its own, so that all of it can be ended.
            start_new_session=True,
        )
        self._reader = threading.Thread(
            target=self._read, args=(self._process.stdout,), daemon=True, name="collector"
        )
        self._reader.start()

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            while line := stream.readline(READ_AT_ONCE):
                self.collected.read(line.decode("utf-8", "replace"))

    @property
    def status(self) -> int | None:
        """Its exit status, once it has ended and all that it said was read."""
        code = self._process.poll()
        if code is not None:
            self._reader.join(READ_PATIENCE)
        return code

    def end(self) -> None:
        """End it, if it has not ended: asked first, then made to."""
        if self.status is not None:
            return
        for how in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, how)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_PATIENCE)
                break
        # Whatever it started and left behind.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._reader.join(READ_PATIENCE)


def is_gone(lock: Path) -> bool:
    """Whether nothing of any collector lives on this machine."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _environ() -> dict[str, str]:
    """Return ours without our settings: the registry takes REGISTRY_* for its own."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return ours | {"OTEL_TRACES_EXPORTER": "none"}
