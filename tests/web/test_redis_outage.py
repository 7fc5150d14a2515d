"""Redis goes and comes back: pages work, work is late and not lost, the log says it once."""

from __future__ import annotations

import logging
import socket
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from config import ROOT
from registry_ui.db.session import db
from registry_ui.jobs.queue import WORKER, RedisOutage, enqueue
from registry_ui.models import Heartbeat, RegistryEvent
from tests.support.compiled import make_application
from tests.support.html import Page
from tests.support.live import environ_of
from tests.support.processes import Server, free_port, start_redis, until
from tests.web.support import Site, event_of

pytestmark = pytest.mark.both_databases

STOPPED = "Redis does not answer"
BACK = "Redis answers again"


@dataclass
class Redis:
    """A Redis that is stopped and started again at the same port."""

    home: Path
    port: int
    server: Server | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.server, _ = start_redis(self.home, self.port)

    def stop(self) -> None:
        if self.server:
            self.server.stop()


@pytest.fixture
def redis(tmp_path):
    made = Redis(tmp_path / "redis", free_port())
    made.start()
    yield made
    made.stop()


def site_with(make_app, url):
    """A site as it is served, with a queue at this address, and an administrator."""
    settings = replace(make_app().config["SETTINGS"], redis_url=url, testing=False)
    site = Site(make_application(settings))
    site.user("admin", admin=True)
    return site


def close(site):
    with site.app.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def site(make_app, redis):
    made = site_with(make_app, redis.url)
    yield made
    close(made)


def said(caplog):
    """What was logged about Redis, and everything that looks like a fault."""
    return [
        record.getMessage()
        for record in caplog.records
        if "Redis" in record.getMessage() or record.levelno >= logging.ERROR
    ]


def queue_row(site):
    """The row of the job queue in the table of health."""
    page = Page(site.browser("admin").get("/-/admin").text)
    (row,) = [row.text for row in page.all("tr") if row.text.startswith("Job queue")]
    return row


def test_pages_that_queue_work_answer_and_the_log_says_once_that_redis_is_away(site, redis, caplog):
    redis.stop()
    admin = site.browser("admin")
    for _ in range(5):
        answer = admin.post("/-/admin/reconcile")
        assert answer.status_code == 302
    (line,) = said(caplog)
    assert line.startswith(STOPPED)


def test_the_overview_says_that_redis_does_not_answer_and_that_it_does_again(site, redis, caplog):
    assert "works" in queue_row(site)
    redis.stop()
    row = queue_row(site)
    assert "fails" in row
    assert "Redis does not answer (ConnectionError)." in row
    redis.start()
    until(lambda: "works" in queue_row(site), 30, "Redis is asked again after the pause")
    with site.app.app_context():
        enqueue("resume")
        assert site.app.extensions["huey"].storage.queue_size() == 1
    assert [line[: len(BACK)] for line in said(caplog)] == [STOPPED[: len(BACK)], BACK]


def test_without_redis_the_overview_has_no_row_for_the_job_queue(make_app):
    site = site_with(make_app, None)
    page = Page(site.browser("admin").get("/-/admin").text)
    assert "Job queue" not in page.text
    close(site)


def test_a_redis_that_accepts_and_says_nothing_is_asked_once_and_then_left_alone(make_app, caplog):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        site = site_with(make_app, f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        with site.app.app_context():
            for _ in range(100):
                enqueue("resume")
        close(site)
    assert [line[: len(STOPPED)] for line in said(caplog)] == [STOPPED]


def test_a_redis_that_says_nothing_makes_one_page_wait_and_not_each(make_app, caplog):
    """Each view of the overview would take the timeout otherwise."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(0)
        site = site_with(make_app, f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        assert "Redis does not answer (TimeoutError)." in queue_row(site)
        assert connections_to(silent) > 0
        for _ in range(5):
            assert "Redis does not answer (TimeoutError)." in queue_row(site)
        assert connections_to(silent) == 0
        close(site)
    assert [line[: len(STOPPED)] for line in said(caplog)] == [STOPPED]


def connections_to(server):
    """Accept the connections that wait; return how many there were."""
    count = 0
    while True:
        try:
            server.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


def test_an_answer_to_a_call_from_before_the_outage_does_not_end_it(caplog):
    outage = RedisOutage()

    def fail_meanwhile():
        """Answer, as a Redis does that is stopping, after it refused another thread."""
        with pytest.raises(RedisConnectionError):
            outage.run(refuse)
        return "an answer"

    def refuse():
        raise RedisConnectionError

    assert outage.run(fail_meanwhile) == "an answer"
    assert outage.seconds_to_wait > 0
    assert [line[: len(STOPPED)] for line in said(caplog)] == [STOPPED]
    outage.run(lambda: "an answer")
    assert [line[: len(BACK)] for line in said(caplog)[1:]] == [BACK]


def test_a_job_that_was_received_runs_although_redis_has_stopped_meanwhile(site, redis, caplog):
    queue = site.app.extensions["huey"]
    site.deliver(event_of("push", "lost/app", "v1"))
    with site.app.app_context():
        received = [queue.dequeue() for _ in range(queue.storage.queue_size())]
        redis.stop()
        for task in received:
            queue.execute(task)
    assert not pending(site)
    assert [line[: len(STOPPED)] for line in said(caplog)] == [STOPPED]


def test_a_worker_survives_an_outage_quietly_and_goes_on_with_what_was_stored(
    site, redis, tmp_path
):
    log = tmp_path / "worker.log"
    worker = Server(
        [sys.executable, "-m", "registry_ui.worker"],
        log,
        env=environ_of(site.app.config["SETTINGS"]),
        cwd=ROOT,
    )

    def lines():
        return [line for line in log.read_text().splitlines() if "reconcile:" not in line]

    def beats_after(moment):
        rows = site.rows(Heartbeat, name=WORKER)
        return rows and (moment is None or rows[0].at > moment) and rows[0].at

    try:
        until(lambda: beats_after(None), 60, "a sign of life")
        redis.stop()
        until(lambda: any(STOPPED in line for line in lines()), 30, "a line about the outage")
        answer = site.deliver(event_of("push", "lost/app", "v1"))
        assert answer.status_code == 202
        first = until(lambda: beats_after(None))
        second = until(lambda: beats_after(first), 30, "a sign of life during the outage")
        until(lambda: beats_after(second), 30, "another one")
        assert len(lines()) == 1, lines()
        redis.start()
        until(lambda: any(BACK in line for line in lines()), 60, "a line about the recovery")
        with site.app.app_context():
            until(lambda: enqueue("resume") or not pending(site), 60, "the event is applied")
    finally:
        worker.stop()
    assert len(lines()) == 2, lines()


def pending(site):
    return site.rows(RegistryEvent, status="pending")
