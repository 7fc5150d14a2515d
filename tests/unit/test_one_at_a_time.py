"""Long work of a kind is done by one thread of a process; the others go back to the queue."""

from __future__ import annotations

import threading

import pytest

from registry_ui.jobs.executors import LONG_WORK, SingleFlight
from registry_ui.worker import WORKER_THREADS


def test_who_comes_meanwhile_does_not_wait_and_the_work_is_done_all_the_same():
    turn, done = SingleFlight(), []
    inside, go_on = threading.Event(), threading.Event()

    def work(name):
        inside.set()
        assert go_on.wait(60)
        done.append((name, threading.current_thread().name))

    thread = threading.Thread(target=turn.do, args=(work, "first"), name="worker")
    thread.start()
    assert inside.wait(60)
    for _ in range(3):
        turn.do(work, "second")
    assert done == []
    go_on.set()
    thread.join(60)
    assert done == [("first", "worker"), ("second", "worker")]


def test_work_that_breaks_off_does_not_keep_the_next_from_its_turn():
    turn, done = SingleFlight(), []

    def breaks():
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - our own, without words
        turn.do(breaks)
    turn.do(done.append, "next")
    assert done == ["next"]


def test_what_was_queued_behind_work_that_breaks_off_is_done_all_the_same():
    turn, done = SingleFlight(), []

    def work(name):
        if name == "first":
            turn.do(work, "second")
            raise ValueError
        done.append(name)

    with pytest.raises(ValueError):  # noqa: PT011 - our own, without words
        turn.do(work, "first")
    assert done == ["second"]


def test_events_find_a_thread_while_each_kind_of_long_work_has_one():
    assert len(LONG_WORK) < WORKER_THREADS


def test_of_many_threads_never_two_are_at_it():
    turn, lock, done = SingleFlight(), threading.Lock(), []

    def work(number):
        assert lock.acquire(blocking=False)
        done.append(number)
        lock.release()

    threads = [threading.Thread(target=turn.do, args=(work, n)) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(done) == list(range(50))
