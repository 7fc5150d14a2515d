"""Supervisor for processes that run together: starts, logs, watches, and stops them."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

from config import ROOT

from ..processes import end_with_parent

MAX_LOG_SIZE = 10 * 1024 * 1024
TAIL_LINES = 15
STOP_TIMEOUT = 10.0
STOP_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
#: Replaces control characters, because log lines contain names and paths from untrusted clients,
#: which must not control the terminal.
CONTROL_REPLACEMENTS = dict.fromkeys(
    [*range(9), *range(10, 32), *range(127, 160)], "\N{REPLACEMENT CHARACTER}"
)


class Child:
    """One process that the launcher started, its log file, and the last lines of the log.

    Both output streams go to the log; standard error is also shown on the terminal.

    Args:
        name: shown before the lines of the process on the terminal.
        command: a shell command.
        environ: the complete environment of the process.
        log: path of the log, which is rotated at 10 MiB; one old log is kept.
        inherited_descriptor: a file descriptor that the process inherits and keeps open.
    """

    def __init__(
        self,
        name: str,
        command: str,
        *,
        environ: Mapping[str, str],
        log: Path,
        inherited_descriptor: int,
    ) -> None:
        self.name = name
        self.log = log
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._file = RotatingFileHandler(
            log, maxBytes=MAX_LOG_SIZE, backupCount=1, encoding="utf-8"
        )
        # The process gets its own session, so that Ctrl-C reaches only the launcher, which stops
        # all processes in order.
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=[inherited_descriptor],
            preexec_fn=partial(_begin_child, os.getpid()),  # noqa: PLW1509 - no thread runs yet
        )
        self._readers = [
            threading.Thread(target=partial(self._copy_output, stream, shown=shown), daemon=True)
            for stream, shown in ((self._process.stdout, False), (self._process.stderr, True))
            if stream
        ]

    def listen(self) -> None:
        """Start the threads that read the output of the process."""
        for reader in self._readers:
            reader.start()

    @property
    def end(self) -> str | None:
        """How the process ended, as a message; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit status {code}"

    @property
    def last_words(self) -> str:
        """The last lines of the log, formatted for the terminal."""
        return f"The end of {self.log}:\n" + "".join(f"    {line}\n" for line in self.tail)

    def terminate(self) -> None:
        """Send SIGTERM to the process."""
        self._process.terminate()

    def sweep(self) -> None:
        """Kill the process and all processes that it started, and close the log."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for reader in self._readers:
            reader.join(timeout=1)
        self._file.close()

    def _copy_output(self, stream: IO[bytes], *, shown: bool) -> None:
        for raw in stream:
            line = raw.decode("utf-8", "replace").rstrip().translate(CONTROL_REPLACEMENTS)
            self.tail.append(line)
            self._file.handle(logging.makeLogRecord({"msg": line}))
            if shown:
                with suppress(OSError):  # The terminal can be closed.
                    print(f"{time.strftime('%H:%M:%S')} {self.name:<8} | {line}", flush=True)
        stream.close()


class Supervisor:
    """Starts, watches, and stops a set of processes.

    Args:
        logs: the directory of the log files.
        inherited_descriptor: a file descriptor that every process inherits and keeps open.
    """

    def __init__(self, logs: Path, inherited_descriptor: int) -> None:
        self._logs = logs
        self._inherited_descriptor = inherited_descriptor
        self._children: list[Child] = []
        # Block the signals to stop, so that they stay pending until stop_wanted() is called, and
        # never interrupt a step of the launcher.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS | {signal.SIGCHLD})

    def start(self, commands: Mapping[str, tuple[str, Mapping[str, str]]]) -> None:
        """Start the processes, given by name as shell command and complete environment."""
        for name, (command, environ) in commands.items():
            log = self._logs / f"{name}.log"
            self._children.append(
                Child(
                    name,
                    command,
                    environ=environ,
                    log=log,
                    inherited_descriptor=self._inherited_descriptor,
                )
            )
        # Start the threads after the last fork, because forking with threads is unsafe.
        for child in self._children:
            child.listen()

    def stop_wanted(self, timeout: float) -> bool:
        """Wait for a signal to stop or the end of a process, at most ``timeout`` seconds.

        Returns:
            Whether a signal to stop arrived.
        """
        signal_info = signal.sigtimedwait(STOP_SIGNALS | {signal.SIGCHLD}, timeout)
        return signal_info is not None and signal_info.si_signo in STOP_SIGNALS

    def ended(self) -> Child | None:
        """Return a process that has ended by itself; None if all are running."""
        return next((child for child in self._children if child.end), None)

    def last_words(self) -> str:
        """Return the last lines of every log that has any."""
        return "\n".join(child.last_words for child in self._children if child.tail)

    def stop(self) -> None:
        """Stop the first process, then all others, and kill those that do not end in time.

        A registry that this run started is the first, so that its last events reach the web app.
        """
        first, others = self._children[:1], self._children[1:]
        self._children.clear()
        for children in (first, others):
            for child in children:
                child.terminate()
            deadline = time.monotonic() + STOP_TIMEOUT
            while any(child.end is None for child in children) and time.monotonic() < deadline:
                signal.sigtimedwait({signal.SIGCHLD}, 0.2)
            for child in children:
                child.sweep()


def _begin_child(parent: int) -> None:
    end_with_parent(parent)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
