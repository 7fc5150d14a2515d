"""One run at a time; what an earlier one left is waited for, and ended if it must be."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from registry_ui.launch import LaunchError, lock
from registry_ui.launch.lock import RunLock
from tests.support.make_run import alive

HOLD = """
import os, subprocess, sys
from pathlib import Path
from registry_ui.launch.lock import RunLock
lock = RunLock(Path(sys.argv[1]))
lock.acquire()
child = subprocess.Popen(["sleep", sys.argv[2]], pass_fds=[lock.descriptor])
print(child.pid, flush=True)
if sys.argv[3] == "ending":
    lock.record_ending()
sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "run.lock"


@contextmanager
def launcher(file, *, child_lives, state="running"):
    """Hold the lock in another process, which has a child that inherited it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file), str(child_lives), state],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        child = int(process.stdout.readline())
        yield process, child
        process.kill()


def test_a_run_that_is_alive_is_named(file):
    with launcher(file, child_lives=0) as (process, _):
        with pytest.raises(LaunchError, match=f"it runs already.*kill {process.pid}"):
            RunLock(file).acquire()
        assert process.poll() is None


def test_a_run_that_is_ending_is_waited_for(file):
    with launcher(file, child_lives=0, state="ending") as (process, _):
        process.stdin.close()
        RunLock(file).acquire()
    assert file.read_text() == str(os.getpid())


def test_children_of_a_killed_launcher_are_waited_for(file):
    with launcher(file, child_lives=1) as (process, child):
        process.kill()
        RunLock(file).acquire()
        assert not alive(child)


def test_children_that_do_not_end_are_ended(file):
    with launcher(file, child_lives=600) as (process, child):
        process.kill()
        process.wait()
        RunLock(file).acquire(timeout=0.3)
        assert not alive(child)


def test_a_second_one_that_waits_is_not_taken_for_a_part_of_the_run(file, monkeypatch):
    """It opens the file only to try, so the first does not end it."""
    monkeypatch.setattr(lock, "LAUNCHER_TIMEOUT", 600)
    with launcher(file, child_lives=0, state="ending"):
        waiting = RunLock(file)
        assert not waiting._try_acquire()
        assert os.getpid() not in waiting._find_holders()
