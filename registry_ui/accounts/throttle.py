"""Slows down guessing: failures of a user name from an address, shared by all processes.

No account is ever locked: whoever knows the password gets in from elsewhere. Clients
that try a password by POST and, refused, by GET again (PROTOCOLS 1.6) are counted once:
the two ways are counted apart, and the larger count is the one that matters.
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
PATIENCE = 1.5

_places = threading.BoundedSemaphore(PLACES)


class TooManyAttempts(AppError):
    """Come back later: in ``retry_after`` seconds."""

    status = 429
    code = "TOOMANYREQUESTS"

    def __init__(self, message: str, hint: str = "", retry_after: int = 5) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after


def check(username: str, address: str) -> None:
    """Raise TooManyAttempts where this name failed too often from this address."""
    now = utc_now()
    query = (
        select(func.count(), func.min(FailedSignIn.at))
        .where(
            FailedSignIn.username == username[:100].replace("\x00", "").lower(),
            FailedSignIn.address == address,
            FailedSignIn.at > now - WINDOW,
        )
        .group_by(FailedSignIn.by_post)
    )
    counts = [(count, oldest) for count, oldest in db.session.execute(query) if count >= LIMIT]
    if counts:
        seconds = max(1, int((max(at for _, at in counts) + WINDOW - now).total_seconds()))
        raise TooManyAttempts(
            "Too many failed attempts.",
            hint=f"Wait {-(-seconds // 60)} minutes, then try again.",
            retry_after=seconds,
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


def failed(username: str, address: str, *, by_post: bool = False) -> None:
    """Note a failure, for the count and in the audit; forget old ones."""
    now = utc_now()
    name = username[:100].replace("\x00", "")
    with writing() as session:
        record(session, Actor(name, address), "user.sign_in_failed", "sign in")
        session.execute(delete(FailedSignIn).where(FailedSignIn.at < now - WINDOW))
        session.add(FailedSignIn(username=name.lower(), address=address, by_post=by_post, at=now))
