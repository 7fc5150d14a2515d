"""Rate limits for failed sign-ins, per user name and network and per network.

Failures are counted in the database, so all processes share the counts. No account is ever
locked: after too many failures, the next attempt is refused only until a short pause is over.
A user name is counted separately for each network it was tried from, so an attacker does not
slow down a user elsewhere. In a network with many failures, known user names (those that signed
in from the network within KNOWN_FOR) are not affected; all other names share one attempt every
few seconds. Some clients try a password by POST and, if refused, again by GET (PROTOCOLS 1.6).
So that such a password counts once, failures by POST and by GET are counted separately, and each
count is compared with the limits.
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
#: Number of failures of one user name from one network within the window that cause a pause.
#: Each further failure doubles the pause, from one second to LONGEST_PAUSE seconds.
LIMIT = 10
LONGEST_PAUSE = 60
#: Number of failures of all user names from one network that cause a pause for unknown user
#: names, and the length of that pause in seconds.
NETWORK_LIMIT = 100
NETWORK_PAUSE = 2
#: Number of failures from one network that make the network suspect: password checks for unknown
#: user names from that network then run one at a time.
SUSPECT_LIMIT = 10
#: How long a user name counts as known in a network after a correct password, and the minimum time
#: between two updates of the stored time.
KNOWN_FOR = timedelta(days=30)
KNOWN_UPDATE_INTERVAL = timedelta(days=1)
#: Maximum number of failures from all networks within the window that are all recorded in the audit
#: log. Above it, only every hundredth is recorded.
MAX_AUDITED = 1000
#: Action and subject of the audit entry for a failed sign-in.
FAILURE_ACTION, FAILURE_SUBJECT = "user.sign_in_failed", "sign in"
#: How long audit entries for failed sign-ins are kept, and their maximum number. They are limited,
#: because anyone can cause them.
AUDIT_LIFETIME, MAX_AUDIT_ENTRIES = timedelta(days=90), 100_000
#: Maximum number of refusals in the memory of a process, and of known user names in one refusal.
MAX_REFUSALS, MAX_KNOWN_NAMES = 10_000, 1000


class TooManyAttempts(AppError):
    """Too many sign-in attempts (HTTP 429); the client can retry in ``retry_after`` seconds."""

    status = 429
    code = "TOOMANYREQUESTS"

    def __init__(self, message: str, hint: str = "", retry_after: int = 5) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A refusal of attempts until ``ends_at`` (of time.monotonic()), except for ``known_names``."""

    ends_at: float
    known_names: frozenset[str] = frozenset()


class Refusals:
    """Cache of current refusals, so that refusing further attempts needs no query. Thread-safe.

    The cache also contains the suspect networks, from which many wrong passwords came.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: By user name and network. The user name None means all names not known in the network.
        self._refusals: OrderedDict[tuple[str | None, str], _Refusal] = OrderedDict()
        self._suspects: OrderedDict[str, float] = OrderedDict()

    def check(self, name: str, network: str) -> None:
        """Raise TooManyAttempts if a user name is refused in a network at the moment.

        The refusal can be for this name, or for all unknown names in the network.
        """
        with self._lock:
            for key in ((name, network), (None, network)):
                refusal = self._refusals.get(key)
                if refusal is None or name in refusal.known_names:
                    continue
                if (seconds := refusal.ends_at - time.monotonic()) > 0:
                    raise _too_many_attempts(seconds)
                del self._refusals[key]

    def keep(
        self, name: str | None, network: str, seconds: float, known_names: frozenset[str]
    ) -> None:
        """Add a refusal for a number of seconds; drop the oldest ones if there are too many.

        Args:
            name: the refused user name; None for all names that are not in ``known_names``.
            known_names: the user names that are not refused.
        """
        with self._lock:
            self._refusals[name, network] = _Refusal(time.monotonic() + seconds, known_names)
            while len(self._refusals) > MAX_REFUSALS:
                self._refusals.popitem(last=False)

    def suspect(self, network: str) -> None:
        """Mark a network as suspect for the length of the window."""
        with self._lock:
            self._suspects.pop(network, None)
            self._suspects[network] = time.monotonic() + WINDOW.total_seconds()
            while len(self._suspects) > MAX_REFUSALS:
                self._suspects.popitem(last=False)

    def is_suspect(self, network: str) -> bool:
        """Return whether many wrong passwords came from a network within the window."""
        with self._lock:
            return self._suspects.get(network, 0.0) > time.monotonic()

    def forget(self) -> None:
        """Clear all refusals and suspect networks."""
        with self._lock:
            self._refusals.clear()
            self._suspects.clear()


def init_app(app: Flask) -> None:
    """Create the application's cache of refused sign-in attempts."""
    app.extensions["refused_attempts"] = Refusals()


def refusals() -> Refusals:
    """Return the current application's cache of refused sign-in attempts."""
    cache: Refusals = current_app.extensions["refused_attempts"]
    return cache


def check(username: str, address: str) -> None:
    """Raise TooManyAttempts if sign-ins with this user name from this address have to pause.

    The failures of the user name and of the address's network are counted in the database.
    """
    name, network = stored_name(username), network_of(address)
    now = utc_now()
    is_name, is_network = FailedSignIn.username == name, FailedSignIn.address == network
    query = (
        select(
            func.count(),
            func.max(FailedSignIn.at),
            func.count(case((is_name, 1))),
            func.max(case((is_name, FailedSignIn.at))),
        )
        .where(is_network, FailedSignIn.at > now - WINDOW)
        .group_by(FailedSignIn.by_post)
    )
    counts = [tuple(row) for row in db.session.execute(query)]
    for failures, last_failure, name_failures, last_name_failure in counts:
        if failures >= SUSPECT_LIMIT:
            refusals().suspect(network)
        if name_failures >= LIMIT:
            _pause(name, network, last_name_failure + _compute_pause(name_failures) - now)
        if failures >= NETWORK_LIMIT:
            known_names = _fetch_known_names(db.session(), network)
            if name not in known_names:
                _pause(
                    None,
                    network,
                    last_failure + timedelta(seconds=NETWORK_PAUSE) - now,
                    known_names,
                )


def _compute_pause(failures: int) -> timedelta:
    return timedelta(seconds=min(1 << min(failures - LIMIT, 10), LONGEST_PAUSE))


def _pause(
    name: str | None, network: str, remaining: timedelta, known_names: frozenset[str] = frozenset()
) -> None:
    seconds = remaining.total_seconds()
    if seconds > 0:
        refusals().keep(name, network, seconds, known_names)
        raise _too_many_attempts(seconds)


def _too_many_attempts(seconds: float) -> TooManyAttempts:
    whole_seconds = max(1, math.ceil(seconds))
    hint = f"Wait {whole_seconds} second{'s' if whole_seconds > 1 else ''}, then try again."
    return TooManyAttempts("Too many failed attempts.", hint, whole_seconds)


def is_known(name: str, network: str) -> bool:
    """Return whether a user signed in from a network within KNOWN_FOR.

    Args:
        name: the user name as returned by stored_name().
    """
    query = select(KnownSignIn.at).where(
        KnownSignIn.network == network, KnownSignIn.username == name
    )
    last_sign_in = db.session.scalar(query)
    return last_sign_in is not None and last_sign_in > utc_now() - KNOWN_FOR


def _fetch_known_names(session: Session, network: str) -> frozenset[str]:
    query = select(KnownSignIn.username).where(
        KnownSignIn.network == network, KnownSignIn.at > utc_now() - KNOWN_FOR
    )
    return frozenset(session.scalars(query.order_by(KnownSignIn.at.desc()).limit(MAX_KNOWN_NAMES)))


def record_failure(username: str, address: str, *, by_post: bool = False) -> None:
    """Store a failed sign-in and record it in the audit log; delete failures before the window."""
    now = utc_now()
    with writing() as session:
        session.execute(delete(FailedSignIn).where(FailedSignIn.at < now - WINDOW))
        count = session.scalar(select(func.count()).select_from(FailedSignIn)) or 0
        if count < MAX_AUDITED or count % 100 == 0:
            detail = {} if count < MAX_AUDITED else {"failures_in_10_minutes": count}
            actor = Actor(mask_secrets(username)[:100].replace("\x00", ""), address)
            record(session, actor, FAILURE_ACTION, FAILURE_SUBJECT, **detail)
        network = network_of(address)
        name = stored_name(username)
        session.add(FailedSignIn(username=name, address=network, by_post=by_post, at=now))


def record_success(username: str, address: str) -> None:
    """Record that a user name is known in a network, at most once per KNOWN_UPDATE_INTERVAL."""
    network, now = network_of(address), utc_now()
    known_sign_in = db.session.get(KnownSignIn, (network, username))
    if known_sign_in is not None and now - known_sign_in.at < KNOWN_UPDATE_INTERVAL:
        return
    with writing() as session:
        if not insert_if_absent(session, KnownSignIn, network=network, username=username, at=now):
            session.merge(KnownSignIn(network=network, username=username, at=now))


def forget_old(session: Session, now: datetime) -> None:
    """Delete expired known user names, and old or excess audit entries for failed sign-ins."""
    session.execute(delete(KnownSignIn).where(KnownSignIn.at < now - KNOWN_FOR))
    is_failure = (AuditEntry.subject == FAILURE_SUBJECT) & (AuditEntry.action == FAILURE_ACTION)
    query = select(AuditEntry.id).where(is_failure).order_by(AuditEntry.id.desc())
    last_excess_id = session.scalar(query.offset(MAX_AUDIT_ENTRIES).limit(1)) or 0
    is_old = (AuditEntry.at < now - AUDIT_LIFETIME) | (AuditEntry.id <= last_excess_id)
    session.execute(delete(AuditEntry).where(is_failure, is_old))


def stored_name(username: str) -> str:
    """Return a user name as it is stored with a failure: masked, shortened, and in lower case.

    Users sometimes send a token as the user name, and it must not be stored.
    """
    return mask_secrets(username)[:100].replace("\x00", "").lower()
