"""The product's own programs, forked from a process that has imported them.

Importing takes most of the time of a start. Otherwise a program starts as with `make run`: in a
process of its own, with the same arguments, environment, and folder. The exception is a variable
that a module reads when it is imported, such as WEB_CONCURRENCY and FORWARDED_ALLOW_IPS of
gunicorn: it has the value of the test process. e2e/test_make_run tests a start without forking.
"""

from __future__ import annotations

import atexit
import runpy
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from functools import cache
from multiprocessing.process import BaseProcess
from pathlib import Path

from flask import Flask
from jinja2 import FileSystemBytecodeCache

from config import ROOT

from .processes import Server
from .worker_processes import end_server, start_worker

#: How the lines of the Procfile begin that run a Python module.
PYTHON = ["exec", ".venv/bin/python", "-m"]


class ForkedProcess:
    """Adapter with the part of Popen's interface that tests use."""

    def __init__(self, process: BaseProcess, args: str) -> None:
        assert process.pid is not None
        self._process, self.args, self.pid = process, args, process.pid
        self.terminate, self.kill = process.terminate, process.kill

    def poll(self) -> int | None:
        """Return the exit status; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        """Wait until it has ended, and return the exit status."""
        self._process.join(timeout)
        status = self._process.exitcode
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return status


def start_program(command: str, log: Path, *, env: Mapping[str, str]) -> Server:
    """Start a line of the Procfile: forked if it runs a Python module, otherwise by a shell.

    The working directory is the checkout.
    """
    words = shlex.split(command)
    if words[: len(PYTHON)] != PYTHON:
        return Server(["/bin/sh", "-c", command], log, env=env, cwd=ROOT)
    arguments = (words[len(PYTHON) :], _compiled_templates().name)
    process = start_worker(_run, *arguments, environ=env, log=log)
    return Server.of(ForkedProcess(process, command), log)


@cache
def _compiled_templates() -> tempfile.TemporaryDirectory[str]:
    """Return the folder of the compiled templates of all programs. It is removed at the end."""
    return tempfile.TemporaryDirectory(prefix="registry_ui-templates-")


def _run(arguments: list[str], templates: str) -> None:
    """Run a module as ``python -m`` does, and compile each template once for all programs."""
    # The server of worker processes belongs to the test process.
    atexit.unregister(end_server)
    Flask.jinja_options = {"bytecode_cache": FileSystemBytecodeCache(templates)}
    sys.argv = arguments
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    finally:
        # A forked process ends with os._exit(). These are the steps of an interpreter that ends;
        # gunicorn's workers, which are forked from this process, take them as well.
        threading._shutdown()
        atexit._run_exitfuncs()
