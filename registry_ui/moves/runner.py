"""Carries out moves, phase by phase; goes on where a dead worker stopped.

Everything is copied while nobody is stopped. Then nobody writes for some minutes: what
changed since is copied, every tag is compared, and all paths are switched at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from ..access import at_or_below
from ..access.reserved_paths import fence_of, spoken_for
from ..audit import Actor, record
from ..catalog.reconcile import reconcile
from ..copies.copier import CopyRefused
from ..db.session import db, release, writing
from ..distribution.errors import RegistryError, RegistryReadOnly, RegistryUnavailable
from ..errors import AppError, Unexpected
from ..models import ContainerImage, Move, MovedRepository, utc_now
from ..models.move import CANCELLABLE
from ..names import RepositoryName
from ..operations.lease import Cancelled, LeaseLost
from ..operations.write_freeze import lift_fence, raise_fence
from ..registry_connection import registry
from . import old_paths, transfer
from .authorization import require_right
from .lease import HeldBack, Hold, MoveFailed, claim
from .progress import forget_tags
from .switchover import switch
from .unmoved_tags import count_unmoved, why_nothing_was_copied

logger = logging.getLogger(__name__)

#: Seconds between two looks whether the last bearer tokens have ended.
PAUSE = 0.5
#: How long a proxy takes at most to receive a manifest. After that, whatever was begun before
#: the fence has been written, or never will be: the old name is compared once more.
PROXY_DEADLINE = timedelta(seconds=60)
#: What the page of a move says that had to leave tags behind.
UNMOVED = (
    "Some tags could not be copied and stay at the old name: {}. They are listed below with the "
    "reasons. They are deleted only if you choose that."
)


def run(move_id: int) -> Move | None:
    """Carry out a move, as far as it can go now.

    Returns None where another worker has it, or it has to wait for another.
    """
    hold = claim(move_id)
    if hold is None:
        return None
    try:
        while (phase := PHASES.get(hold.move.state)) is not None:
            hold.require_open()
            _carry_out(hold, phase)
        hold.let_go()
    except HeldBack:
        hold.let_go()
        return None
    except LeaseLost:
        logger.warning("move %s: another worker is at it", move_id)
        return None
    return hold.move


def _carry_out(hold: Hold, phase: Callable[[Hold], None]) -> None:
    try:
        hold.heed()
        _attempt(hold, phase)
    except Cancelled:
        _take_back(hold)
    except (MoveFailed, CopyRefused, RegistryError, AppError) as error:
        _heed_trouble(hold, error)
    except (HeldBack, LeaseLost, DBAPIError):
        raise  # the database's trouble, too, is left to the next worker
    except Exception:
        # Nobody shall be kept from pushing by a mistake of ours.
        logger.exception("move %s broke off", hold.move.id)
        _heed_trouble(hold, Unexpected())


def _attempt(hold: Hold, phase: Callable[[Hold], None]) -> None:
    """Carry out a phase, or a part of it; pause if the registry can't be used for a while."""
    try:
        phase(hold)
    except (RegistryUnavailable, RegistryReadOnly) as error:
        hold.wait_for_registry(error)


def _heed_trouble(hold: Hold, error: Exception) -> None:
    hold.change()
    # Whoever calls it off lifts the fence, which may be what went wrong.
    if hold.move.cancel_wanted and hold.move.state in CANCELLABLE:
        _take_back(hold)
    elif hold.move.state == "undoing" or _is_trouble(hold, error):
        hold.change(problem=str(error))
        raise HeldBack
    else:
        _stop(hold, str(error))


def _is_trouble(hold: Hold, error: Exception) -> bool:
    """Whether it need only be tried again, because the registry does not answer."""
    return hold.move.state == "retiring" and isinstance(error, RegistryError)


def _take_back(hold: Hold) -> None:
    with writing() as session:
        hold.write(session, state="undoing")
        _lift(session, hold.move.source)


def _stop(hold: Hold, problem: str) -> None:
    """Let people write again, and wait until somebody decides."""
    move = hold.move
    after = "grace" if move.state == "retiring" else "failed"
    with writing() as session:
        hold.write(session, state=after, problem=problem)
        _lift(session, move.source)
        if after == "grace":
            old_paths.keep(session, move)
        actor = Actor(move.requested_by)
        record(session, actor, f"{move.kind}.move.stop", move.source, why=problem)


# -- phases ----------------------------------------------------------------------


def _begin(hold: Hold) -> None:
    """Reserve the new path: nobody can push there from now on."""
    with writing() as session:
        require_right(session, hold.move)
        if fence_of(session, hold.move.target) is None:
            raise_fence(session, hold.move.target, "move")
        hold.write(session, state="copying", problem="")


def _copy(hold: Hold) -> None:
    """Copy everything, while people go on pushing; then stop them."""
    for row in _rows(hold.move, "planned"):
        transfer.copy(hold, row)
    if why := why_nothing_was_copied(hold.move):
        raise MoveFailed(why)
    with writing() as session:
        if fence_of(session, hold.move.source) is None:
            raise_fence(session, hold.move.source, "move")
        hold.write(session, state="fenced")


def _wait(hold: Hold) -> None:
    """Wait until nobody can push any more with a token from before."""
    while (quiet_at := _quiet_at(hold.move)) is not None and utc_now() < quiet_at:
        release()
        hold.hold()
        time.sleep(PAUSE)
    if quiet_at is None:
        raise MoveFailed("Writes were let go on meanwhile.")
    hold.change(state="settling")


def _settle(hold: Hold) -> None:
    """Copy what was pushed until the last token ended, whole repositories too."""
    _find_new(hold)
    for row in _rows(hold.move, "planned", "copied"):
        transfer.settle(hold, row)
    hold.change(state="verifying")


def _verify(hold: Hold) -> None:
    """Compare every tag, and switch."""
    for row in _rows(hold.move, "settled"):
        transfer.verify(hold, row)
    move = hold.move
    rows, unmoved = _rows(move), count_unmoved(move)
    until = utc_now() + timedelta(days=current_app.config["SETTINGS"].move_grace_days)
    try:
        with writing() as session:
            require_right(session, move)
            if _quiet_at(move) is None:
                raise MoveFailed("Writes were let go on meanwhile.")
            hold.write(session)
            switch(session, move, until, keeps_old=bool(rows))
            after: dict[str, Any] = {"state": "done"}
            if rows:
                compare_at = utc_now() + PROXY_DEADLINE
                after = {"state": "grace", "grace_until": until, "compare_at": compare_at}
            hold.write(
                session,
                switched_at=utc_now(),
                finished_at=None if rows else utc_now(),
                problem=UNMOVED.format(unmoved) if unmoved else "",
                **after,
            )
            _lift(session, move.source)
            _lift(session, move.target)
    except IntegrityError:
        raise MoveFailed(f"{move.target} was taken meanwhile.") from None
    for row in rows:
        hold.hold()
        reconcile(RepositoryName(row.target))


def _undo(hold: Hold) -> None:
    """Take the copies away again, and let go of the new path."""
    old_paths.undo(hold, _rows(hold.move))
    move = hold.move
    with writing() as session:
        hold.write(session, state="cancelled", finished_at=utc_now(), problem="")
        forget_tags(session, move)
        _lift(session, move.source)
        _lift(session, move.target)
        record(session, Actor(move.requested_by), f"{move.kind}.move.cancelled", move.source)


def _retire(hold: Hold) -> None:
    """Empty the old repositories."""
    old_paths.retire(hold, _rows(hold.move, "verified", "kept"))


PHASES: dict[str, Callable[[Hold], None]] = {
    "waiting": _begin,
    "copying": _copy,
    "fenced": _wait,
    "settling": _settle,
    "verifying": _verify,
    "undoing": _undo,
    "retiring": _retire,
}


# -- what they look at -------------------------------------------------------------


def _rows(move: Move, *states: str) -> list[MovedRepository]:
    query = select(MovedRepository).where(MovedRepository.move_id == move.id)
    if states:
        query = query.where(MovedRepository.state.in_(states))
    return list(db.session.scalars(query.order_by(MovedRepository.number)))


def _find_new(hold: Hold) -> None:
    """Add repositories that were pushed since the plan: by the index, and by the catalog."""
    move = hold.move
    if move.kind == "image":
        return
    release()
    listed = {str(name) for name in registry().catalog()}
    session = db.session()
    known = {row.source for row in _rows(move)}
    inside = {name for name in listed if f"{name}/".startswith(f"{move.source}/")} - known
    inside |= _indexed(move.source) - known
    new = sorted(inside - spoken_for(session, inside))
    if new:
        with writing() as session:
            hold.write(session)
            for number, name in enumerate(new, len(known)):
                target = move.target + name[len(move.source) :]
                session.add(
                    MovedRepository(move_id=move.id, number=number, source=name, target=target)
                )


def _indexed(path: str) -> set[str]:
    query = select(ContainerImage.path).where(at_or_below(ContainerImage.path, path))
    return set(db.session.scalars(query))


def _quiet_at(move: Move) -> datetime | None:
    """Return when the last token has ended for both paths; None where a fence is gone."""
    session = db.session()
    fences = [fence_of(session, path) for path in (move.source, move.target)]
    moments = [fence.quiet_at for fence in fences if fence is not None]
    return max(moments) if len(moments) == len(fences) else None


def _lift(session: Session, path: str) -> None:
    fence = fence_of(session, path)
    if fence is not None:
        lift_fence(session, fence.id)
