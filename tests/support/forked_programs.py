"""The product's own programs, forked from a process that has imported them.

Importing is most of what a start takes. The rest is as `make run` has it: a process of its own,
with the same arguments, environment and folder. e2e/test_make_run has the start as a whole.
"""

from __future__ import annotations

import runpy
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from multiprocessing.process import BaseProcess
from pathlib import Path

from flask import Flask
from jinja2 import FileSystemBytecodeCache

from .processes import Server
from .worker_processes import start_worker

#: How the lines of the Procfile begin that run a Python module.
PYTHON = ["exec", ".venv/bin/python", "-m"]


class ForkedProcess:
    """What tests use of a Popen, for a process that another one has forked."""

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


def start_program(command: str, log: Path, *, env: Mapping[str, str], cwd: Path) -> Server:
    """Start a line of the Procfile: forked if it runs a Python module, otherwise by a shell."""
    words = shlex.split(command)
    if words[: len(PYTHON)] != PYTHON:
        return Server(["/bin/sh", "-c", command], log, env=env, cwd=cwd)
    arguments = (words[len(PYTHON) :], _compiled_templates().name)
    process = start_worker(_run, *arguments, environ=env, log=log)
    return Server.of(ForkedProcess(process, command), log)


@cache
def _compiled_templates() -> tempfile.TemporaryDirectory[str]:
    """Return the folder of what all programs have compiled. It is removed at the end."""
    return tempfile.TemporaryDirectory(prefix="registry_ui-templates-")


def _run(arguments: list[str], templates: str) -> None:
    """Be ``python -m`` with these arguments, and compile each template once for all programs."""
    Flask.jinja_options = {"bytecode_cache": FileSystemBytecodeCache(templates)}
    sys.argv = arguments
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
