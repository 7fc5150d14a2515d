"""Passwords are verified by a process of low priority."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from registry_ui.accounts import hashing
from registry_ui.accounts.hashing import HashingProcess
from registry_ui.accounts.hashing_process import NICENESS
from registry_ui.accounts.throttle import TooManyAttempts
from tests.support.processes import until

PASSWORD = "correct horse \N{SNOWMAN} \udcff"


@pytest.fixture
def process():
    made = HashingProcess()
    yield made
    made.close()


def test_the_process_compares_passwords_with_hashes(process, hashed):
    assert process.verify(hashed, "correct horse")
    assert not process.verify(hashed, "wrong\nhorse")
    assert not process.verify(hashed, PASSWORD)
    assert not process.verify("not a hash", "correct horse")


def test_it_steps_back_for_everything_else(process, hashed):
    process.verify(hashed, "x")
    own, other = (os.getpriority(os.PRIO_PROCESS, pid) for pid in (0, process._process.pid))
    assert other == min(own + NICENESS, 19)


def test_it_starts_again_after_it_was_killed(process, hashed):
    assert process.verify(hashed, "correct horse")
    process._process.kill()
    process._process.wait()
    assert process.verify(hashed, "correct horse")


def test_one_that_takes_too_long_is_given_up_and_its_answer_is_never_taken_for_another(
    process, hashed, monkeypatch
):
    assert process.verify(hashed, "correct horse")
    os.kill(process._process.pid, signal.SIGSTOP)  # it is as slow as can be
    monkeypatch.setattr(hashing, "HASHING_TIMEOUT", 0.05)
    with pytest.raises(TooManyAttempts):
        process.verify(hashed, "correct horse")
    monkeypatch.undo()
    assert not process.verify(hashed, "wrong")


def test_who_does_not_get_a_turn_is_told_to_come_back(process, hashed, monkeypatch):
    monkeypatch.setattr(hashing, "HASHING_TIMEOUT", 0.05)
    assert process._lock.acquire(60)
    refused = []

    def ask():
        try:
            process.verify(hashed, "x")
        except TooManyAttempts as error:
            refused.append(error.retry_after)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(20)
    assert refused == [hashing.RETRY_AFTER]
    process._lock.release()
    monkeypatch.undo()
    assert process.verify(hashed, "correct horse")


def test_passwords_with_priority_are_compared_first_and_otherwise_in_order(process, hashed):
    assert process._lock.acquire(60)
    turns = []

    def ask(name, priority):
        process.verify(hashed, name, priority=priority)
        turns.append(name)

    threads = []
    for name, priority in [("a", False), ("b", False), ("c", True), ("d", True)]:
        threads.append(threading.Thread(target=ask, args=(name, priority)))
        threads[-1].start()
        until(lambda: len(process._lock._tickets) == len(threads))
    process._lock.release()
    for thread in threads:
        thread.join(60)
    assert turns == ["c", "d", "a", "b"]
