"""Run moves phase by phase; a new worker resumes where an earlier one stopped.

Everything is copied first, while pushes are still allowed. A write freeze then stops pushes for
some minutes: later changes are copied, every tag is compared, and all paths are switched in one
transaction.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from ..access import at_or_below
from ..access.reserved_paths import find_move_freeze, reserved_names
from ..audit import Actor, record
from ..catalog.reconcile import reconcile
from ..copies.copier import CopyRefused
from ..db.session import db, end_read, writing
from ..distribution.errors import RegistryError, RegistryReadOnly, RegistryUnavailable
from ..errors import AppError, InternalError
from ..exception_log import log_exceptions
from ..models import ContainerImage, Move, MovedRepository, utc_now
from ..models.move import CANCELLABLE
from ..names import RepositoryName
from ..operations.errors import Canceled, Deferred, LeaseLost, OperationFailed
from ..operations.write_freeze import freeze_writes, lift_write_freeze
from ..registry_connection import registry
from . import old_paths, transfer
from .authorization import require_right
from .lease import MoveLease, claim
from .progress import forget_tags
from .switchover import switch
from .unmoved_tags import count_unmoved, why_nothing_was_copied

logger = logging.getLogger(__name__)

#: Interval in seconds between checks whether the last bearer tokens have expired.
POLL_INTERVAL = 0.5
#: Maximum time that a proxy takes to receive a manifest. After that, every push that started before
#: the write freeze has been written or has failed, so the old path is compared once more.
PROXY_TIMEOUT = timedelta(seconds=60)
#: Message on a move's page if the move left tags behind.
UNMOVED_TAGS = (
    "Some tags could not be copied and stay at the old path: {}. They are listed below with the "
    "reasons. They are deleted only if you choose that."
)


def run(move_id: int) -> Move | None:
    """Run the remaining phases of a move, as far as possible now.

    Returns:
        The move, or None if another worker holds the move or the move has to wait.
    """
    lease = claim(move_id)
    if lease is None:
        return None
    try:
        while (phase := PHASES.get(lease.move.state)) is not None:
            _carry_out(lease, phase)
        lease.release()
    except Deferred:
        lease.release()
        return None
    except LeaseLost:
        logger.warning("move %s: another worker is at it", move_id)
        return None
    return lease.move


def _carry_out(lease: MoveLease, phase: Callable[[MoveLease], None]) -> None:
    try:
        lease.check()
        _attempt(lease, phase)
    except Canceled:
        _start_undo(lease)
    except (OperationFailed, CopyRefused, RegistryError, AppError) as error:
        _handle_error(lease, error)
    except (Deferred, LeaseLost, DBAPIError):
        raise  # Database errors are left to the next worker as well.
    except Exception:
        if not threading.main_thread().is_alive():
            raise Deferred from None  # The worker ends, and its thread pools accept no more calls.
        # A bug in this code must not leave pushes stopped, so handle it like any other error.
        logger.exception("move %s broke off", lease.move.id)
        _handle_error(lease, InternalError())


def _attempt(lease: MoveLease, phase: Callable[[MoveLease], None]) -> None:
    """Run a phase of a move; if the registry is unavailable or read-only, pause the move."""
    try:
        phase(lease)
    except (RegistryUnavailable, RegistryReadOnly) as error:
        lease.wait_for_registry(error)


def _handle_error(lease: MoveLease, error: Exception) -> None:
    lease.change()
    # Cancellation lifts the write freeze, which can be the cause of this error.
    if lease.move.cancel_wanted and lease.move.state in CANCELLABLE:
        _start_undo(lease)
    elif lease.move.state == "undoing" or _is_retryable(lease, error):
        lease.change(problem=str(error))
        raise Deferred
    else:
        _stop_move(lease, str(error))


def _is_retryable(lease: MoveLease, error: Exception) -> bool:
    """Return whether a retry is enough: the registry failed while the old path was deleted."""
    return lease.move.state == "retiring" and isinstance(error, RegistryError)


def _start_undo(lease: MoveLease) -> None:
    with writing() as session:
        lease.update(session, state="undoing")
        _lift_freeze(session, lease.move.source)


def _stop_move(lease: MoveLease, problem: str) -> None:
    """Stop a move and lift its write freeze; a user then decides whether to retry or cancel.

    After the switch, neither is possible: the content is at the new path alone. If the old path was
    being deleted, it stays until a user decides.
    """
    move = lease.move
    state = "failed" if move.switched_at is None else "grace"
    with writing() as session:
        lease.update(session, state=state, problem=problem)
        _lift_freeze(session, move.source)
        if state == "grace":
            old_paths.set_grace_end(session, move)
        actor = Actor(move.requested_by)
        record(session, actor, f"{move.kind}.move.stop", move.source, why=problem)


# -- phases ----------------------------------------------------------------------


def _begin(lease: MoveLease) -> None:
    """Reserve the new path with a write freeze, so that no one else can push there."""
    with writing() as session:
        require_right(session, lease.move)
        if find_move_freeze(session, lease.move.target) is None:
            freeze_writes(session, lease.move.target, "move")
        lease.update(session, state="copying", problem="")


def _copy(lease: MoveLease) -> None:
    """Copy all content while pushes are still allowed, then stop pushes to the old path."""
    for row in _load_rows(lease.move, "planned"):
        transfer.copy(lease, row)
    if reason := why_nothing_was_copied(lease.move):
        raise OperationFailed(reason)
    with writing() as session:
        if find_move_freeze(session, lease.move.source) is None:
            freeze_writes(session, lease.move.source, "move")
        lease.update(session, state="fenced")


def _wait(lease: MoveLease) -> None:
    """Wait until all tokens that were issued before the write freeze have expired."""
    while (quiet_at := _compute_quiet_at(lease.move)) is not None and utc_now() < quiet_at:
        end_read()
        lease.renew()
        time.sleep(POLL_INTERVAL)
    if quiet_at is None:
        raise OperationFailed("Writes were let go on meanwhile.")
    lease.change(state="settling")


def _settle(lease: MoveLease) -> None:
    """Copy the content pushed before the last token expired, including new repositories."""
    _add_new_repositories(lease)
    for row in _load_rows(lease.move, "planned", "copied"):
        transfer.settle(lease, row)
    lease.change(state="verifying")


def _verify(lease: MoveLease) -> None:
    """Compare every tag at both paths, and switch to the new path."""
    for row in _load_rows(lease.move, "settled"):
        transfer.verify(lease, row)
    move = lease.move
    rows, unmoved = _load_rows(move), count_unmoved(move)
    until = utc_now() + timedelta(days=current_app.config["SETTINGS"].move_grace_days)
    try:
        with writing() as session:
            require_right(session, move)
            if _compute_quiet_at(move) is None:
                raise OperationFailed("Writes were let go on meanwhile.")
            lease.update(session)
            switch(session, move, until, has_repositories=bool(rows))
            now, problem = utc_now(), UNMOVED_TAGS.format(unmoved) if unmoved else ""
            if rows:
                lease.update(
                    session,
                    state="grace",
                    problem=problem,
                    switched_at=now,
                    finished_at=None,
                    grace_until=until,
                    compare_at=now + PROXY_TIMEOUT,
                )
            else:
                lease.update(
                    session, state="done", problem=problem, switched_at=now, finished_at=now
                )
            _lift_freeze(session, move.source)
            _lift_freeze(session, move.target)
    except IntegrityError:
        raise OperationFailed(f"{move.target} was taken meanwhile.") from None
    for row in rows:
        lease.renew()
        _reconcile_or_log(RepositoryName(row.target))


def _reconcile_or_log(repository: RepositoryName) -> None:
    """Reconcile a repository, and only log an exception: the move itself is over."""
    with log_exceptions(logger, "%s was not reconciled after its move", repository):
        reconcile(repository)


def _undo(lease: MoveLease) -> None:
    """Delete the copies of a canceled move and release the new path."""
    old_paths.undo(lease, _load_rows(lease.move))
    move = lease.move
    with writing() as session:
        lease.update(session, state="cancelled", finished_at=utc_now(), problem="")
        forget_tags(session, move)
        _lift_freeze(session, move.source)
        _lift_freeze(session, move.target)
        record(session, Actor(move.requested_by), f"{move.kind}.move.cancelled", move.source)


def _retire(lease: MoveLease) -> None:
    """Delete the content of the repositories at the old path."""
    old_paths.delete_old_path(lease, _load_rows(lease.move, "verified", "kept"))


PHASES: dict[str, Callable[[MoveLease], None]] = {
    "waiting": _begin,
    "copying": _copy,
    "fenced": _wait,
    "settling": _settle,
    "verifying": _verify,
    "undoing": _undo,
    "retiring": _retire,
}


# -- queries and helpers -----------------------------------------------------------


def _load_rows(move: Move, *states: str) -> list[MovedRepository]:
    query = select(MovedRepository).where(MovedRepository.move_id == move.id)
    if states:
        query = query.where(MovedRepository.state.in_(states))
    return list(db.session.scalars(query.order_by(MovedRepository.number)))


def _add_new_repositories(lease: MoveLease) -> None:
    """Add repositories that were created after the plan was made.

    They are found in the registry's catalog and in the database.
    """
    move = lease.move
    if move.kind == "image":
        return
    end_read()
    catalog = {str(name) for name in registry().catalog()}
    planned = {row.source for row in _load_rows(move)}
    candidates = {name for name in catalog if f"{name}/".startswith(f"{move.source}/")} - planned
    candidates |= _load_indexed(move.source) - planned
    new_names = sorted(candidates - reserved_names(db.session(), candidates))
    if new_names:
        with writing() as session:
            lease.update(session)
            for number, name in enumerate(new_names, len(planned)):
                target = move.target + name[len(move.source) :]
                session.add(
                    MovedRepository(move_id=move.id, number=number, source=name, target=target)
                )


def _load_indexed(path: str) -> set[str]:
    query = select(ContainerImage.path).where(at_or_below(ContainerImage.path, path))
    return set(db.session.scalars(query))


def _compute_quiet_at(move: Move) -> datetime | None:
    """Return when the last token that can push to either path expires.

    Return None if the write freeze on one of the two paths has been lifted.
    """
    session = db.session()
    freezes = [find_move_freeze(session, path) for path in (move.source, move.target)]
    times = [freeze.quiet_at for freeze in freezes if freeze is not None]
    return max(times) if len(times) == len(freezes) else None


def _lift_freeze(session: Session, path: str) -> None:
    freeze = find_move_freeze(session, path)
    if freeze is not None:
        lift_write_freeze(session, freeze.id)
