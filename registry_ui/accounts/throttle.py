"""Slows down guessing: failures of a user name from an address, shared by all processes.

No account is ever locked: whoever knows the password gets in from elsewhere.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import delete, func, select

from ..audit import Actor, record
from ..errors import AppError
from ..extensions import db, writing
from ..models import FailedSignIn, utc_now

WINDOW = timedelta(minutes=10)
#: Failures of one user name from one address within the window.
LIMIT = 10
#: Password hashes that one process computes at a time, and seconds to wait for a place:
#: who waits holds a thread that others need.
PLACES = 2
PATIENCE = 0.3

_places = threading.BoundedSemaphore(PLACES)


class TooManyAttempts(AppError):
    """Come back later."""

    status = 429
    code = "TOOMANYREQUESTS"


def check(username: str, address: str) -> None:
    """Raise TooManyAttempts where this name failed too often from this address."""
    since = utc_now() - WINDOW
    count = db.session.scalar(
        select(func.count())
        .select_from(FailedSignIn)
        .where(
            FailedSignIn.username == username[:100].replace("\x00", "").lower(),
            FailedSignIn.address == address,
            FailedSignIn.at > since,
        )
    )
    if (count or 0) >= LIMIT:
        minutes = int(WINDOW.total_seconds() // 60)
        raise TooManyAttempts(
            "Too many failed attempts.", hint=f"Wait {minutes} minutes, then try again."
        )


@contextmanager
def one_of_few() -> Iterator[None]:
    """Hold one of the few places for computing a password hash.

    A hash takes a tenth of a second and 64 MiB; without a limit, guessing would take
    the processors from everyone else.

    Raises TooManyAttempts where none became free in time.
    """
    if not _places.acquire(timeout=PATIENCE):
        raise TooManyAttempts("Too many people sign in at this moment.", hint="Try again.")
    try:
        yield
    finally:
        _places.release()


def failed(username: str, address: str) -> None:
    """Note a failure, for the count and in the audit; forget old ones."""
    now = utc_now()
    name = username[:100].replace("\x00", "")
    with writing() as session:
        record(session, Actor(name, address), "user.sign_in_failed", "sign in")
        session.execute(delete(FailedSignIn).where(FailedSignIn.at < now - WINDOW))
        session.add(FailedSignIn(username=name.lower(), address=address, at=now))
