"""Reconcile the index with the registry: on demand, on schedule, and when the worker starts.

The index is the database's copy of the registry's repositories and tags.
"""

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

#: How often the digest of every tag in the index is compared with the registry. The lists of tags
#: are compared more often.
DIGESTS_INTERVAL = timedelta(days=1)
#: Maximum time in seconds that a starting worker waits for the registry, which can be starting at
#: the same time.
REGISTRY_START_TIMEOUT = 20.0
#: Maximum number of tags whose digests are compared when the worker starts.
CATCH_UP_TAGS = 5000


def reconcile_all(*, digests: bool = True) -> None:
    """Reconcile every repository with the registry. An unreachable registry is only logged.

    Args:
        digests: compare the digest of every tag; if False, compare only the lists of tags.
    """
    run_single_flight("reconcile_all", _reconcile_all, digests)


def _reconcile_all(digests: bool) -> None:  # noqa: FBT001 - an argument of SingleFlight
    try:
        pull_through.detect()
        reconcile.reconcile_all(digests=digests)
        if digests or not current_app.config["SETTINGS"].gate:
            # Without the gate, a client can finish a push to the old path of a move at any time.
            old_path_check.compare_all()
    except RegistryError as error:
        logger.warning("reconcile: %s", error)


def reconcile_wanted() -> None:
    """Reconcile the images that are marked as outdated, for example by a deletion event."""
    run_single_flight("reconcile_wanted", reconcile.reconcile_wanted)


def index_adopted() -> None:
    """Add repositories to the index that had no project, and that a project now owns."""
    run_single_flight("index_adopted", initial_index.index_adopted)


def reconcile_when_due(interval: int) -> None:
    """Reconcile everything if the last reconciliation was at least ``interval`` seconds ago.

    The lists of tags are compared each time, the digests of tags once a day: notifications of the
    registry already report changed digests, and a registry call for each tag takes long.
    """
    query = select(Heartbeat.name, Heartbeat.at)
    last_times = dict(db.session.execute(query).all())
    long_ago = datetime.min.replace(tzinfo=UTC)
    now = utc_now()
    if now - last_times.get(REGISTRY_READ, long_ago) >= timedelta(seconds=interval):
        reconcile_all(digests=now - last_times.get(DIGESTS_READ, long_ago) >= DIGESTS_INTERVAL)


def catch_up() -> None:
    """Reconcile everything when the worker starts, because notifications can have been lost.

    The registry keeps undelivered notifications in memory only, so a crash loses them. If there
    are more than CATCH_UP_TAGS tags, only the lists of tags are compared.
    """
    deadline = time.monotonic() + REGISTRY_START_TIMEOUT
    while time.monotonic() < deadline and not _is_registry_available():
        time.sleep(0.5)
    tags = db.session.scalar(select(func.count()).select_from(Tag)) or 0
    reconcile_all(digests=tags <= CATCH_UP_TAGS)


def _is_registry_available() -> bool:
    try:
        registry().ping()
    except RegistryError:
        return False
    return True
