"""Runs processes together: what they say is kept, and one end ends all."""

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

LOG_SIZE = 10 * 1024 * 1024
TAIL = 15
PATIENCE = 10.0
STOP_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
#: Names and paths from strangers are in these lines: they get no hold of the terminal.
PLAIN = dict.fromkeys([*range(9), *range(10, 32), *range(127, 160)], "\N{REPLACEMENT CHARACTER}")


class Child:
    """One process, its log, and the last lines of it.

    What it writes to standard output is kept in the log; what it writes to standard error
    is shown on the terminal as well.

    Args:
        name: shown before its lines on the terminal.
        command: a line of shell.
        environ: its whole environment.
        log: kept below 10 MB by moving it aside once.
        inherited: a file descriptor that stays open as long as it lives.
    """

    def __init__(
        self, name: str, command: str, *, environ: Mapping[str, str], log: Path, inherited: int
    ) -> None:
        self.name = name
        self.log = log
        self.tail: deque[str] = deque(maxlen=TAIL)
        self._file = RotatingFileHandler(log, maxBytes=LOG_SIZE, backupCount=1, encoding="utf-8")
        # A session of its own: Ctrl-C reaches the launcher alone, which stops all in order.
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=[inherited],
            preexec_fn=partial(_begin_child, os.getpid()),  # noqa: PLW1509 - no thread runs yet
        )
        self._readers = [
            threading.Thread(target=partial(self._keep, stream, shown=shown), daemon=True)
            for stream, shown in ((self._process.stdout, False), (self._process.stderr, True))
            if stream
        ]

    def listen(self) -> None:
        """Begin to keep what it says."""
        for reader in self._readers:
            reader.start()

    @property
    def end(self) -> str | None:
        """How it ended, in words; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit status {code}"

    @property
    def last_words(self) -> str:
        """The end of its log, to be read by a person."""
        return f"The end of {self.log}:\n" + "".join(f"    {line}\n" for line in self.tail)

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def sweep(self) -> None:
        """Leave nothing of it, and close its log."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for reader in self._readers:
            reader.join(timeout=1)
        self._file.close()

    def _keep(self, stream: IO[bytes], *, shown: bool) -> None:
        for raw in stream:
            line = raw.decode("utf-8", "replace").rstrip().translate(PLAIN)
            self.tail.append(line)
            self._file.handle(logging.makeLogRecord({"msg": line}))
            if shown:
                with suppress(OSError):  # the terminal may be gone
                    print(f"{time.strftime('%H:%M:%S')} {self.name:<8} | {line}", flush=True)
        stream.close()


class Supervisor:
    """Starts, watches and stops a set of processes.

    Args:
        inherited: a file descriptor that every process keeps open.
    """

    def __init__(self, logs: Path, inherited: int) -> None:
        self._logs = logs
        self._inherited = inherited
        self._children: list[Child] = []
        # From here on a signal waits until it is asked for; none comes between two steps.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS | {signal.SIGCHLD})

    def start(self, commands: Mapping[str, tuple[str, Mapping[str, str]]]) -> None:
        """Start processes: by name, the line of shell and the whole environment."""
        for name, (command, environ) in commands.items():
            log = self._logs / f"{name}.log"
            self._children.append(
                Child(name, command, environ=environ, log=log, inherited=self._inherited)
            )
        # Only now: forking does not go with threads.
        for child in self._children:
            child.listen()

    def stop_wanted(self, wait: float) -> bool:
        """Wait until a signal to stop came, a process ended, or the time is over.

        Returns:
            whether a signal to stop came.
        """
        came = signal.sigtimedwait(STOP_SIGNALS | {signal.SIGCHLD}, wait)
        return came is not None and came.si_signo in STOP_SIGNALS

    def ended(self) -> Child | None:
        """Return a process that ended by itself, if there is one."""
        return next((child for child in self._children if child.end), None)

    def last_words(self) -> str:
        """Return the end of every log that has one."""
        return "\n".join(child.last_words for child in self._children if child.tail)

    def stop(self) -> None:
        """End all, the first one first: what it still has to tell the others reaches them."""
        first, others = self._children[:1], self._children[1:]
        self._children.clear()
        for children in (first, others):
            for child in children:
                child.terminate()
            deadline = time.monotonic() + PATIENCE
            while any(child.end is None for child in children) and time.monotonic() < deadline:
                signal.sigtimedwait({signal.SIGCHLD}, 0.2)
            for child in children:
                child.sweep()


def _begin_child(parent: int) -> None:
    end_with_parent(parent)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
