"""Slows down guessing: failures by name and network, and by network, shared by all processes.

No account is ever locked, and nothing waits for the end of a window: what failed too often may
be tried again after a pause. A name is counted for each network that it was tried from, so
nobody slows down a user elsewhere. Of a network from which many names failed, only names that
were right there within the last weeks go on as before: the others share one attempt every few
seconds. Clients that try a password by POST and, refused, by GET again (PROTOCOLS 1.6) are
counted once: the two ways are counted apart, and the larger count is the one that matters.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Flask, current_app
from sqlalchemy import case, delete, func, select
from sqlalchemy.orm import Session

from ..audit import Actor, record
from ..db.prepared import insert_if_absent
from ..db.session import db, writing
from ..errors import AppError
from ..models import AuditEntry, FailedSignIn, KnownSignIn, utc_now
from ..networks import network_of
from .secrets import mask_secrets

WINDOW = timedelta(minutes=10)
#: Failures of one user name from one network within the window before it has to pause; each
#: further failure doubles the pause, from a second to a minute.
LIMIT = 10
LONGEST_PAUSE = 60
#: The same for all names from one network, and the pause in seconds between two attempts then.
NETWORK_LIMIT = 100
NETWORK_PAUSE = 2
#: Failures from one network after which its checks run one at a time.
SUSPECT = 10
#: How long a name that was right counts as known where it was, and how often that is noted.
KNOWN_FOR = timedelta(days=30)
NOTE_KNOWN = timedelta(days=1)
#: Failures within the window, of all networks together, after which the audit log has only
#: every hundredth.
AUDITED = 1000
#: Action and subject of a failure in the audit log, how long it is kept there, and how many are:
#: strangers write them.
FAILED, FAILURES = "user.sign_in_failed", "sign in"
AUDIT_KEPT_FOR, AUDIT_KEPT = timedelta(days=90), 100_000
#: Maximum number of refusals that a process remembers, and of known names of a network.
REMEMBERED, KNOWN_NAMES = 10_000, 1000


class TooManyAttempts(AppError):
    """Come back later: in ``retry_after`` seconds."""

    status = 429
    code = "TOOMANYREQUESTS"

    def __init__(self, message: str, hint: str = "", retry_after: int = 5) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Until when attempts are refused, by time.monotonic(), and which names are not."""

    until: float
    known: frozenset[str] = frozenset()


class Refusals:
    """Refusals that hold for some seconds: repeated, they cost no query.

    Also which networks many wrong passwords came from.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: By user name and network; None for every name that is not known there.
        self._kept: OrderedDict[tuple[str | None, str], _Refusal] = OrderedDict()
        self._suspects: OrderedDict[str, float] = OrderedDict()

    def check(self, name: str, network: str) -> None:
        """Raise TooManyAttempts if this name, or all unknown names, are refused for now."""
        with self._lock:
            for key in ((name, network), (None, network)):
                found = self._kept.get(key)
                if found is None or name in found.known:
                    continue
                if (seconds := found.until - time.monotonic()) > 0:
                    raise _too_many(seconds)
                del self._kept[key]

    def keep(self, name: str | None, network: str, seconds: float, known: frozenset[str]) -> None:
        """Remember a refusal, of a name or (None) of all unknown names; forget the oldest."""
        with self._lock:
            self._kept[name, network] = _Refusal(time.monotonic() + seconds, known)
            while len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)

    def suspect(self, network: str) -> None:
        """Remember that many wrong passwords came from a network."""
        with self._lock:
            self._suspects.pop(network, None)
            self._suspects[network] = time.monotonic() + WINDOW.total_seconds()
            while len(self._suspects) > REMEMBERED:
                self._suspects.popitem(last=False)

    def is_suspect(self, network: str) -> bool:
        """Whether many wrong passwords came from a network within the window."""
        with self._lock:
            return self._suspects.get(network, 0.0) > time.monotonic()

    def forget(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
            self._suspects.clear()


def init_app(app: Flask) -> None:
    """Give the application its own memory of refusals."""
    app.extensions["refused_attempts"] = Refusals()


def refusals() -> Refusals:
    """Return the application's memory of refusals."""
    found: Refusals = current_app.extensions["refused_attempts"]
    return found


def check(username: str, address: str) -> None:
    """Raise TooManyAttempts if this name failed too often to be tried from this address now."""
    name, network = stored_name(username), network_of(address)
    now = utc_now()
    of_name, of_network = FailedSignIn.username == name, FailedSignIn.address == network
    query = (
        select(
            func.count(),
            func.max(FailedSignIn.at),
            func.count(case((of_name, 1))),
            func.max(case((of_name, FailedSignIn.at))),
        )
        .where(of_network, FailedSignIn.at > now - WINDOW)
        .group_by(FailedSignIn.by_post)
    )
    counts = [tuple(row) for row in db.session.execute(query)]
    for total, last, own, own_last in counts:
        if total >= SUSPECT:
            refusals().suspect(network)
        if own >= LIMIT:
            _pause(name, network, own_last + _growing_pause(own) - now)
        if total >= NETWORK_LIMIT:
            known = _known_names(db.session(), network)
            if name not in known:
                _pause(None, network, last + timedelta(seconds=NETWORK_PAUSE) - now, known)


def _growing_pause(failures: int) -> timedelta:
    return timedelta(seconds=min(1 << min(failures - LIMIT, 10), LONGEST_PAUSE))


def _pause(
    name: str | None, network: str, rest: timedelta, known: frozenset[str] = frozenset()
) -> None:
    seconds = rest.total_seconds()
    if seconds > 0:
        refusals().keep(name, network, seconds, known)
        raise _too_many(seconds)


def _too_many(seconds: float) -> TooManyAttempts:
    whole = max(1, math.ceil(seconds))
    words = f"Wait {whole} second{'s' if whole > 1 else ''}, then try again."
    return TooManyAttempts("Too many failed attempts.", words, whole)


def is_known(name: str, network: str) -> bool:
    """Whether a user name, as it is counted, was right in a network within the last weeks."""
    query = select(KnownSignIn.at).where(
        KnownSignIn.network == network, KnownSignIn.username == name
    )
    at = db.session.scalar(query)
    return at is not None and at > utc_now() - KNOWN_FOR


def _known_names(session: Session, network: str) -> frozenset[str]:
    query = select(KnownSignIn.username).where(
        KnownSignIn.network == network, KnownSignIn.at > utc_now() - KNOWN_FOR
    )
    return frozenset(session.scalars(query.order_by(KnownSignIn.at.desc()).limit(KNOWN_NAMES)))


def failed(username: str, address: str, *, by_post: bool = False) -> None:
    """Count a wrong password and note it in the audit log; forget old ones."""
    now = utc_now()
    with writing() as session:
        session.execute(delete(FailedSignIn).where(FailedSignIn.at < now - WINDOW))
        count = session.scalar(select(func.count()).select_from(FailedSignIn)) or 0
        if count < AUDITED or count % 100 == 0:
            detail = {} if count < AUDITED else {"failures_in_10_minutes": count}
            actor = Actor(mask_secrets(username)[:100].replace("\x00", ""), address)
            record(session, actor, FAILED, FAILURES, **detail)
        network = network_of(address)
        name = stored_name(username)
        session.add(FailedSignIn(username=name, address=network, by_post=by_post, at=now))


def succeeded(username: str, address: str) -> None:
    """Note that a name was right in a network, once a day."""
    network, now = network_of(address), utc_now()
    known = db.session.get(KnownSignIn, (network, username))
    if known is not None and now - known.at < NOTE_KNOWN:
        return
    with writing() as session:
        if not insert_if_absent(session, KnownSignIn, network=network, username=username, at=now):
            session.merge(KnownSignIn(network=network, username=username, at=now))


def forget_old(session: Session, now: datetime) -> None:
    """Forget the networks that names were not right in for long, and old failures."""
    session.execute(delete(KnownSignIn).where(KnownSignIn.at < now - KNOWN_FOR))
    of_strangers = (AuditEntry.subject == FAILURES) & (AuditEntry.action == FAILED)
    query = select(AuditEntry.id).where(of_strangers).order_by(AuditEntry.id.desc())
    beyond = session.scalar(query.offset(AUDIT_KEPT).limit(1)) or 0
    old = (AuditEntry.at < now - AUDIT_KEPT_FOR) | (AuditEntry.id <= beyond)
    session.execute(delete(AuditEntry).where(of_strangers, old))


def stored_name(username: str) -> str:
    """Return a user name as it is counted: what a client sent, cut and without secrets."""
    return mask_secrets(username)[:100].replace("\x00", "").lower()
