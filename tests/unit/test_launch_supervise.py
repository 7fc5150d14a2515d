"""Processes run together: kept words, one end ends all, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from registry_ui.launch.supervise import Supervisor
from tests.support.make_run import alive
from tests.support.processes import until

DEADLINE = 20.0


@pytest.fixture
def supervisor(tmp_path):
    """Give a supervisor, and afterwards the signals back that it takes."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    supervisor = Supervisor(tmp_path, os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR))
    yield supervisor
    supervisor.stop()
    while signal.sigtimedwait({signal.SIGCHLD}, 0):
        pass
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start(supervisor, **commands):
    supervisor.start({name: (line, dict(os.environ)) for name, line in commands.items()})


def test_errors_are_shown_and_everything_is_kept(supervisor, tmp_path, capsys):
    start(supervisor, web="echo plain; echo trouble >&2")
    until(supervisor.ended)
    supervisor.stop()
    shown = capsys.readouterr().out
    assert "web      | trouble" in shown
    assert "plain" not in shown
    assert sorted((tmp_path / "web.log").read_text().split()) == ["plain", "trouble"]


def test_words_of_strangers_get_no_hold_of_the_terminal(supervisor, capsys):
    start(supervisor, web=r"printf 'GET /\033[2J\r\302\233x\n' >&2")
    until(supervisor.ended)
    supervisor.stop()
    shown = capsys.readouterr().out
    assert "GET /" in shown
    assert not {"\033", "\r", "\x9b"} & set(shown)


@pytest.mark.parametrize(
    ("line", "words"),
    [("echo why; exit 3", "ended with exit status 3"), ("kill -9 $$", "was ended by SIGKILL")],
)
def test_the_one_that_ended_is_named_with_how(supervisor, line, words):
    start(supervisor, web="sleep 600", worker=line)
    child = until(supervisor.ended)
    assert (child.name, child.end) == ("worker", words)


def test_the_end_of_its_log_says_why(supervisor):
    start(supervisor, worker="echo why; exit 3")
    child = until(supervisor.ended)
    until(lambda: child.tail)
    assert child.last_words.endswith("worker.log:\n    why\n")


def test_the_end_of_a_process_is_noticed_at_once(supervisor):
    """Otherwise this waits for an hour, and fails by its timeout."""
    start(supervisor, web="sleep 0.1")
    assert supervisor.stop_wanted(timeout=3600) is False
    assert supervisor.ended()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_stop_is_taken(supervisor, signum):
    # To this thread: the threads of whoever runs the tests have not blocked it.
    signal.pthread_kill(threading.get_ident(), signum)
    assert supervisor.stop_wanted(timeout=DEADLINE) is True


def test_signals_are_not_blocked_in_what_is_started(supervisor):
    start(supervisor, web="grep SigBlk /proc/self/status; exec sleep 600")
    (child,) = supervisor._children
    until(lambda: child.tail)
    assert int(child.tail[0].split()[1], 16) == 0


def test_stop_ends_the_first_before_the_others(supervisor, tmp_path):
    script = tmp_path / "script"
    script.write_text("""
        trap 'echo "$1" >>"$0.order"; exit' TERM
        echo up
        while :; do sleep 0.02; done
    """)
    start(supervisor, registry=f"exec sh {script} registry", web=f"exec sh {script} web")
    until(lambda: all(child.tail for child in supervisor._children))
    supervisor.stop()
    assert (tmp_path / "script.order").read_text().split() == ["registry", "web"]


def test_stop_leaves_nothing_of_it(supervisor):
    start(supervisor, web="sleep 600 & echo $!; wait")
    (child,) = supervisor._children
    grandchild = int(until(lambda: child.tail)[0])
    supervisor.stop()
    until(lambda: not alive(grandchild))


LAUNCHER = """
import os, sys, time
from pathlib import Path
from registry_ui.launch.supervise import Supervisor
from tests.support.make_run import alive
from tests.support.processes import until
supervisor = Supervisor(Path(sys.argv[1]), os.open(sys.argv[1] + "/lock", os.O_CREAT | os.O_RDWR))
supervisor.start({"web": ("echo $$; exec sleep 600", dict(os.environ))})
(child,) = supervisor._children
while not child.tail:
    time.sleep(0.02)
print(child.tail[0], flush=True)
time.sleep(600)
"""


def test_nothing_outlives_a_launcher_that_is_killed(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as launcher:
        child = int(launcher.stdout.readline())
        assert alive(child)
        launcher.kill()
    until(lambda: not alive(child))
