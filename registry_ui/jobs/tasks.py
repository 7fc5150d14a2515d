"""Work for the worker: every task calls one service function. Arguments are plain values."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask, current_app
from huey import crontab
from sqlalchemy import delete, func, select

from ..accounts import docker_sessions, throttle
from ..accounts.sessions import SESSION_LIFETIME
from ..catalog import initial_index, pull_through, reconcile, tag_claims
from ..copies import service as copies
from ..db.session import db, writing
from ..distribution.errors import RegistryError
from ..events.apply import apply_pending
from ..events.service import forget_pulls
from ..garbage_collection import runner
from ..manifests import refresh, tag_use
from ..models import (
    DIGESTS_READ,
    REGISTRY_READ,
    BrowserSession,
    Copy,
    Heartbeat,
    HeldManifest,
    Manifest,
    ProtectionViolation,
    RegistryEvent,
    Removal,
    Tag,
    utc_now,
)
from ..moves import old_path_check
from ..moves import service as moves
from ..moves.lease import waiting as waiting_moves
from ..moves.runner import run as carry_out_move
from ..names import RepositoryName
from ..operations import runner as long_work
from ..registry_connection import registry
from ..removals import runner as removals
from ..retention import service as retention
from ..storage_usage import backfill
from ..token_auth import decision_retention
from ..trash import service as trash
from .background import Aside, OneAtATime
from .queue import HEARTBEAT_SECONDS, WORKER, enqueue, make_queue

logger = logging.getLogger(__name__)

#: How long raw events are kept once they are done with.
EVENTS_KEPT = timedelta(days=90)
#: How long facts are kept that no tag leads to any more.
FACTS_KEPT = timedelta(days=7)
#: How long what was done against protection rules is kept; the audit keeps it for ever.
VIOLATIONS_KEPT = timedelta(days=90)
DIGESTS_INTERVAL = timedelta(days=1)
#: Seconds that the worker waits, when it starts, for a registry that starts with it.
REGISTRY_PATIENCE = 20.0
CATCH_UP_TAGS = 5000
#: Kinds of work that may take minutes.
LONG_WORK = ("reconcile_all", "reconcile_wanted", "read_contents", "index_adopted", "old_paths")
#: Removals and copies that a process carries out at a time, each in a thread of its own.
ASIDE = 4
#: Stored work that is carried out step by step: what does it, and what finds what waits.
STORED_WORK: dict[str, tuple[Callable[[int], Any], Callable[[], list[int]]]] = {
    "removal": (removals.run, removals.waiting),
    "copy": (copies.run, copies.waiting),
    "move": (carry_out_move, waiting_moves),
}


def init_app(app: Flask) -> None:
    """Make the queue and register the tasks."""
    app.extensions["one_at_a_time"] = {name: OneAtATime() for name in LONG_WORK}
    app.extensions["aside"] = Aside(ASIDE)
    app.extensions["collecting"] = Aside(1)
    settings = app.config["SETTINGS"]
    huey = make_queue(settings)
    huey.immediate = settings.testing
    app.extensions["huey"] = huey
    app.extensions["tasks"] = {
        name: huey.task(name=name)(_in_app(app, work)) for name, work in TASKS.items()
    }
    for name, (work, schedule) in _periodic(settings.reconcile_interval).items():
        huey.periodic_task(schedule, name=f"periodic_{name}")(_in_app(app, work))
    huey.on_startup(name="heartbeat")(lambda: _start_heart(app))


def _in_app(app: Flask, work: Callable[..., Any]) -> Callable[..., None]:
    def run(*args: Any) -> None:
        with app.app_context():
            work(*args)

    return run


# -- tasks ---------------------------------------------------------------------


def apply_events() -> None:
    """Apply stored events; fetch the facts of what was pushed; look into deletions."""
    applied = apply_pending()
    for repository, digest in sorted(applied.pushed):
        enqueue("learn", repository, digest)
    if applied.doubts:
        enqueue("reconcile_wanted")


def learn(repository: str, digest: str) -> None:
    """Fetch a pushed image's facts, so that its first visitor finds the page ready."""
    backfill.learn(RepositoryName(repository), digest)


def reconcile_all(*, digests: bool = True) -> None:
    """Compare every repository with the registry; a registry that is down changes nothing."""
    _one_at_a_time("reconcile_all", _reconcile_all, digests)


def _reconcile_all(digests: bool) -> None:  # noqa: FBT001 - an argument of OneAtATime
    try:
        pull_through.detect()
        reconcile.reconcile_all(digests=digests)
        if digests or not current_app.config["SETTINGS"].gate:
            # Without a proxy in front of the registry, pushes end behind a move at any time.
            old_path_check.compare_all()
    except RegistryError as error:
        logger.warning("reconcile: %s", error)


def reconcile_wanted() -> None:
    """Compare the images of which an event told a deletion."""
    _one_at_a_time("reconcile_wanted", reconcile.reconcile_wanted)


def run_removal(removal_id: int) -> None:
    """Carry out one removal."""
    _run_stored("removal", removal_id)


def run_copy(copy_id: int) -> None:
    """Carry out one copy."""
    _run_stored("copy", copy_id)


def _run_stored(kind: str, number: int) -> None:
    """Carry out stored work in a thread of its own, so that it holds back nothing else.

    Where too much is under way in this process, the schedule finds it later.
    """
    if current_app.testing:
        STORED_WORK[kind][0](number)
        return
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
    current_app.extensions["aside"].do(_in_app(app, _stored_work), (kind, number))


def _stored_work(which: tuple[str, int]) -> None:
    """Carry out stored work, and then what waits for a free thread."""
    kind, number = which
    STORED_WORK[kind][0](number)
    for run, waiting in STORED_WORK.values():
        for found in waiting():
            run(found)


def run_move(move_id: int) -> None:
    """Carry out one move, as far as it can go now."""
    _run_stored("move", move_id)


def retire_moved() -> None:
    """Let the old paths go whose time is over."""
    for move_id in moves.retire_due():
        enqueue("run_move", move_id)


def run_collection(collection_id: int) -> None:
    """Carry out a garbage collection in a thread of its own; what waited for its end goes on."""
    if current_app.testing:
        _collection(collection_id)
        return
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
    current_app.extensions["collecting"].do(_in_app(app, _collection), collection_id)


def _collection(collection_id: int) -> None:
    runner.run(collection_id)
    enqueue("resume_stored_work")


def resume_stored_work() -> None:
    """Carry out the removals, copies and moves that no worker has."""
    for kind, (_, waiting) in STORED_WORK.items():
        for number in waiting():
            try:
                _run_stored(kind, number)
            except Exception:
                logger.exception("%s %s broke off", kind, number)


def index_adopted() -> None:
    """Index what a project owns by now."""
    _one_at_a_time("index_adopted", initial_index.index_adopted)


def read_contents(path: str) -> None:
    """Read what is not known of the tags at and below a place."""
    _one_at_a_time("read_contents", backfill.read_contents, path)


def resume() -> None:
    """Find what a dead worker, a lost job or a queue that was down left behind.

    Stored work comes first: it runs in threads of its own, while thousands of events may wait.
    """
    resume_stored_work()
    for collection_id in runner.waiting():
        run_collection(collection_id)
    apply_events()
    reconcile_wanted()
    _one_at_a_time("old_paths", old_path_check.compare_due)
    refresh.refresh()


def _one_at_a_time(kind: str, work: Callable[..., Any], *args: Any) -> None:
    current_app.extensions["one_at_a_time"][kind].do(work, *args)


def prune() -> None:
    """Forget what is old: events done with, sessions, claims, facts of nothing, decisions."""
    with writing() as session:
        docker_sessions.forget_unused(session)
        throttle.forget_old(session, utc_now())
        tag_claims.forget_ended(session)
        session.execute(
            delete(ProtectionViolation)
            .where(ProtectionViolation.at < utc_now() - VIOLATIONS_KEPT)
            .execution_options(synchronize_session=False)
        )
        decision_retention.forget_old(session, current_app.config["SETTINGS"].decisions_kept_days)
        used = select(Tag.digest).where(Tag.digest == Manifest.digest).exists()
        held = select(HeldManifest.digest).where(HeldManifest.digest == Manifest.digest).exists()
        session.execute(
            delete(Manifest)
            .where(Manifest.fetched_at < utc_now() - FACTS_KEPT, ~used, ~held)
            .execution_options(synchronize_session=False)
        )
        long_work.forget_plans(session, Removal)
        long_work.forget_plans(session, Copy)
        moves.forget_plans(session)
        session.execute(
            delete(BrowserSession).where(BrowserSession.created_at < utc_now() - SESSION_LIFETIME)
        )
        session.execute(
            delete(RegistryEvent).where(
                RegistryEvent.received_at < utc_now() - EVENTS_KEPT,
                RegistryEvent.status != "pending",
            )
        )
        forget_pulls(session)
    tag_use.forget_placed_pulls()


def reconcile_when_due(interval: int) -> None:
    """Compare everything if the last time is longer ago than ``interval`` seconds.

    The lists of tags each time, what the tags stand for once a day: events tell that,
    and a call for each tag would hold back the events of people.
    """
    query = select(Heartbeat.name, Heartbeat.at)
    last = dict(db.session.execute(query).all())
    long_ago = datetime.min.replace(tzinfo=UTC)
    now = utc_now()
    if now - last.get(REGISTRY_READ, long_ago) >= timedelta(seconds=interval):
        reconcile_all(digests=now - last.get(DIGESTS_READ, long_ago) >= DIGESTS_INTERVAL)


def catch_up() -> None:
    """Compare the registry with the index once the worker starts.

    Events that were under way when something died are lost: the registry keeps them in
    memory. Where tags are too many to ask what each stands for, only their lists.
    """
    deadline = time.monotonic() + REGISTRY_PATIENCE
    while time.monotonic() < deadline and not _registry_answers():
        time.sleep(0.5)
    tags = db.session.scalar(select(func.count()).select_from(Tag)) or 0
    reconcile_all(digests=tags <= CATCH_UP_TAGS)


def _registry_answers() -> bool:
    try:
        registry().ping()
    except RegistryError:
        return False
    return True


def purge_bin() -> None:
    """Remove for good what was in the bin for long enough."""
    for removal_id in trash.purge_due():
        enqueue("run_removal", removal_id)


def run_retention() -> None:
    """Start what the retention policies ask for today, by all that was told until now."""
    apply_events()
    for removal_id in retention.run_due():
        enqueue("run_removal", removal_id)


TASKS: dict[str, Callable[..., Any]] = {
    "apply_events": apply_events,
    "learn": learn,
    "reconcile_wanted": reconcile_wanted,
    "reconcile_all": reconcile_all,
    "catch_up": catch_up,
    "adopt_below": reconcile.adopt_below,
    "index_adopted": index_adopted,
    "read_contents": read_contents,
    "resume": resume,
    "run_removal": run_removal,
    "run_move": run_move,
    "run_copy": run_copy,
    "resume_stored_work": resume_stored_work,
    "run_collection": run_collection,
    "purge_bin": purge_bin,
}


def _periodic(interval: int) -> dict[str, tuple[Callable[[], None], Callable[..., bool]]]:
    return {
        "resume": (resume, crontab(minute="*")),
        "reconcile": (lambda: reconcile_when_due(interval), crontab(minute="*/5")),
        "purge_bin": (purge_bin, crontab(minute="11")),
        "retire_moved": (retire_moved, crontab(minute="23")),
        "retention": (
            run_retention,
            # Again, for what had to wait for another policy of its place.
            crontab(minute="*/10", hour=f"{retention.HOUR}-{retention.HOUR + 1}"),
        ),
        "prune": (prune, crontab(minute="17", hour="3")),
    }


# -- signs of life -------------------------------------------------------------

_heart = threading.Lock()


def beat(app: Flask) -> None:
    """Write the worker's sign of life."""
    with app.app_context(), writing() as session:
        session.merge(Heartbeat(name=WORKER, at=utc_now()))


def _start_heart(app: Flask) -> None:
    """Start one heart for the process; huey calls this in each of its threads."""
    if not _heart.acquire(blocking=False):
        return

    def live() -> None:
        pause = threading.Event()
        while True:
            try:
                beat(app)
            except Exception:
                logger.exception("no sign of life could be written")
            pause.wait(HEARTBEAT_SECONDS)

    threading.Thread(target=live, name="heartbeat", daemon=True).start()
