"""Programs that tests fork end as they do under `make run`."""

from __future__ import annotations

import os
import shlex

from tests.support.forked_programs import start_program
from tests.support.processes import free_port, until

REGISTER = "import atexit; atexit.register(print, 'cleaned up')"


def test_a_forked_program_runs_its_exit_handlers(tmp_path):
    log = tmp_path / "log"
    command = f"exec .venv/bin/python -m timeit -n 1 -r 1 {shlex.quote(REGISTER)}"
    program = start_program(command, log, env=dict(os.environ))
    assert program.process.wait(60) == 0
    assert log.read_text().count("cleaned up") == 1


def test_the_forked_workers_of_a_program_run_their_exit_handlers(tmp_path):
    code = "def app(environ, start_response): ...\n"
    (tmp_path / "handled.py").write_text(f"{REGISTER}\n{code}")
    log, port = tmp_path / "log", free_port()
    options = f"--bind 127.0.0.1:{port} --chdir {tmp_path} handled:app"
    server = start_program(
        f"exec .venv/bin/python -m gunicorn {options}", log, env=dict(os.environ)
    )
    server.wait_for_port(port)
    until(lambda: "Booting worker" in log.read_text())
    server.stop()
    assert log.read_text().count("cleaned up") == 1
