"""The registry's garbage collector as a child process; a lock file prevents a second one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

from config import PREFIX, ROOT

from ..files import try_lock
from . import exclusive_process
from .output_parser import CollectorOutput

#: Seconds to wait for the collector to exit, after SIGTERM and again after SIGKILL.
END_TIMEOUT = 20.0
#: Timeout in seconds for reading the rest of the output after the collector has ended, because a
#: process that the collector started can keep the pipe open.
READ_TIMEOUT = 2.0
#: Maximum number of bytes that are read as one line. Longer lines, which the collector does not
#: write, are read in pieces.
MAX_READ_BYTES = 8192


class Collector:
    """A run of the registry's garbage collector, which starts when the object is created.

    Args:
        command: the program and its arguments.
        lock: a file that stays locked as long as any process of the collector runs.
    """

    def __init__(self, command: tuple[str, ...], lock: Path) -> None:
        self.output = CollectorOutput()
        self._lock, self._has_group = lock, True
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
            env=_build_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Start a separate process group, so that a signal reaches every collector process.
            start_new_session=True,
        )
        self._reader = threading.Thread(
            target=self._read, args=(self._process.stdout,), daemon=True, name="collector"
        )
        self._reader.start()

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            while line := stream.readline(MAX_READ_BYTES):
                self.output.read(line.decode("utf-8", "replace"))

    @property
    def status(self) -> int | None:
        """Exit status, after the collector has ended and its output was read; None until then."""
        code = self._process.poll()
        if code is not None:
            self._reader.join(READ_TIMEOUT)
        return code

    def end(self) -> None:
        """End the collector if it still runs, and the processes that it started and left behind.

        SIGTERM first, SIGKILL after END_TIMEOUT seconds. Processes that have left the collector's
        process group are not reached; is_gone() returns False as long as they run.
        """
        if self.status is not None and is_gone(self._lock):
            return
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            self._signal(signal_number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_TIMEOUT)
                break
        self._signal(signal.SIGKILL)
        self._reader.join(READ_TIMEOUT)

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to the process group, unless it is gone and its number another's."""
        if self._has_group:
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                self._has_group = False


def is_gone(lock: Path) -> bool:
    """Return whether no process of a collector that uses this lock file runs on this machine.

    Args:
        lock: the file that the processes of a collector keep locked.
    """
    descriptor = try_lock(lock)
    if descriptor is None:
        return False
    os.close(descriptor)
    return True


def _build_environment() -> dict[str, str]:
    """Return the collector's environment: that of this process without registry_ui's settings.

    The registry program would read every variable named REGISTRY_* as a setting of its own.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return environment | {"OTEL_TRACES_EXPORTER": "none"}
