"""Compare the registry with the index: on demand, by the schedule, and when the worker starts."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta

from flask import current_app
from sqlalchemy import func, select

from ..catalog import initial_index, pull_through, reconcile
from ..db.session import db
from ..distribution.errors import RegistryError
from ..models import DIGESTS_READ, REGISTRY_READ, Heartbeat, Tag, utc_now
from ..moves import old_path_check
from ..registry_connection import registry
from .executors import run_single_flight

logger = logging.getLogger(__name__)

#: How often the digest of every tag is compared; the lists of tags are compared more often.
DIGESTS_INTERVAL = timedelta(days=1)
#: Seconds that the worker waits, when it starts, for a registry that starts with it.
REGISTRY_PATIENCE = 20.0
#: Maximum number of tags whose digests are compared when the worker starts.
CATCH_UP_TAGS = 5000


def reconcile_all(*, digests: bool = True) -> None:
    """Compare every repository with the registry; a registry that is down changes nothing."""
    run_single_flight("reconcile_all", _reconcile_all, digests)


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
    run_single_flight("reconcile_wanted", reconcile.reconcile_wanted)


def index_adopted() -> None:
    """Index what a project owns by now."""
    run_single_flight("index_adopted", initial_index.index_adopted)


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
