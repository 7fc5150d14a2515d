"""Separate processes that have the application imported when they begin.

A worker that a test kills is a process of its own. Importing the application is most of what such
a process does; therefore a server imports it once and forks each worker. Every worker has its own
environment and log. The server does not outlive the process that runs the tests.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from config import ROOT

#: Timeout in seconds for a worker that ends by itself.
TIMEOUT = 100

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.support.preloaded"])


@atexit.register
def end_server() -> None:
    """End the server, and any worker that is left; wait until it has ended."""
    for process in multiprocessing.active_children():
        end_worker(process)
    forkserver._forkserver._stop()


def start_worker(
    main: Callable[..., None], *arguments: Any, environ: Mapping[str, str], log: Path
) -> BaseProcess:
    """Call a module's function in a new process, with an environment and a log of its own."""
    process = _context.Process(target=_run, args=(main, arguments, dict(environ), log))
    process.start()
    return process


def run_until_killed(
    main: Callable[..., None], *arguments: Any, environ: Mapping[str, str]
) -> None:
    """Run a worker that kills itself, -9; fail if it ends in any other way."""
    with tempfile.NamedTemporaryFile(prefix="registry_ui-worker-") as log:
        process = start_worker(main, *arguments, environ=environ, log=Path(log.name))
        process.join(TIMEOUT)
        code = process.exitcode
        end_worker(process)
        assert code == -signal.SIGKILL, log.read().decode()


def end_worker(process: BaseProcess) -> None:
    """End a worker, -9, unless it has ended."""
    process.kill()
    process.join(60)
    assert process.exitcode is not None, "a worker survived kill -9"


def _run(
    main: Callable[..., None], arguments: tuple[Any, ...], environ: dict[str, str], log: Path
) -> None:
    """Become the worker: take its environment and folder, and write to its log."""
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(ROOT)
    with log.open("ab") as out:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(out.fileno(), stream.fileno())
    main(*arguments)
