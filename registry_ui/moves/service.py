"""Move lifecycle: plan, confirm, retry, and cancel a move; extend or delete the old path.

The worker carries a move out in runner.py: it first copies the content and then switches all
references to the new path. After the switch, the old path can still be pulled for a grace period.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import timedelta

from flask import current_app
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from ..access.lookup import prefixes
from ..access.reserved_paths import find_move_freeze
from ..audit import Actor, record
from ..db.session import db, writing
from ..errors import Invalid, NotFound, StateConflict
from ..models import ContainerImage, Move, MovedRepository, OldPath, Place, Tag, utc_now
from ..models.move import BEFORE_SWITCH, CANCELLABLE, MovePreview
from ..names import subject_of
from ..operations.lease import is_free
from ..operations.runner import PLAN_LIFETIME
from ..operations.write_freeze import lift_write_freeze
from . import old_paths
from .planner import MovePlan, require_still_free

#: Maximum number of repositories listed on a move's page.
MAX_LISTED_REPOSITORIES = 200
#: Number of newest tags considered for the example pull command.
MAX_EXAMPLE_CANDIDATES = 50
NOT_POSSIBLE = "That is no longer possible."
NEEDS_CONSENT = (
    "Some tags can't be read, and would be left out. Agree to that, or push them again first."
)


def save_plan(actor: Actor, plan: MovePlan, place: Place) -> Move:
    """Store a move plan for a user to review and confirm.

    Args:
        actor: the requester.
        plan: the plan to store.
        place: the namespace or project that moves, or the current project of a moving image.
    """
    with writing() as session:
        move = Move(
            kind=plan.kind,
            source=plan.source,
            target=plan.target,
            place_id=place.id,
            new_project_id=plan.new_project_id,
            requested_by=actor.name,
            state="planned",
            problem="",
            preview=plan.preview(),
        )
        session.add(move)
        session.flush()
        session.add_all(
            MovedRepository(move_id=move.id, number=n, source=old, target=new, tag_count=count)
            for n, (old, new, count) in enumerate(plan.repositories)
        )
        return move


def confirm(actor: Actor, move_id: int, *, leave_out: bool = False) -> Move:
    """Queue a planned move for a worker.

    Args:
        actor: the user who confirms the plan.
        move_id: the planned move.
        leave_out: whether the user agrees that the plan leaves out tags that can't be read.

    Raises:
        NotFound: there is no such move.
        StateConflict: the plan was already confirmed or canceled.
        Conflict: the new path is taken, or something at either path is being moved or deleted.
        Invalid: the plan leaves out tags, and the user did not agree to that.
    """
    with writing() as session:
        move = _lock_move(session, move_id, {"planned"})
        if move.preview.get("unread") and not leave_out:
            raise Invalid(NEEDS_CONSENT, {"leave_out": NEEDS_CONSENT})
        _lock_paths(session, move)
        require_still_free(session, move)
        move.state, move.requested_by = "waiting", actor.name
        record(session, actor, f"{move.kind}.move.start", move.source, to=move.target)
        return move


def retry(actor: Actor, move_id: int) -> Move:
    """Queue a failed move again. Content that was already copied is not copied again.

    Raises:
        NotFound: there is no such move.
        StateConflict: the move has not failed.
    """
    with writing() as session:
        move = _lock_move(session, move_id, {"failed"}, before_switch=True)
        move.state, move.requested_by = "waiting", actor.name
        for row in session.scalars(
            select(MovedRepository).where(MovedRepository.move_id == move.id)
        ):
            # Go through every repository again, because pushes have continued since the failure.
            row.state, row.last_tag, row.oldest_moment_id = "planned", "", None
        record(session, actor, f"{move.kind}.move.retry", move.source, to=move.target)
        return move


def cancel(actor: Actor, move_id: int) -> Move:
    """Cancel a move before the switch: pushes are possible at once, and the copies are deleted.

    Raises:
        NotFound: there is no such move.
        StateConflict: the move has been switched or has ended.
    """
    with writing() as session:
        move = _lock_move(session, move_id, CANCELLABLE, before_switch=True)
        record(session, actor, f"{move.kind}.move.cancel", move.source, to=move.target)
        if move.state == "planned":
            move.state, move.finished_at = "cancelled", utc_now()
            return move
        move.cancel_wanted = True
        freeze = find_move_freeze(session, move.source)
        if freeze is not None:
            lift_write_freeze(session, freeze.id)
        if session.scalar(select(Move.id).where(Move.id == move.id, is_free(Move))) is not None:
            move.state = "undoing"
        return move


def retire_now(actor: Actor, move_id: int, *, everything: bool = False) -> Move:
    """Queue the deletion of the old path before its grace period ends.

    Args:
        actor: the requester.
        move_id: the move whose old path is deleted.
        everything: whether to delete content that the new path lacks too, because the user has
            reviewed it.

    Raises:
        NotFound: there is no such move.
        StateConflict: there is no old path, or it is already being deleted.
    """
    with writing() as session:
        move = _lock_move(session, move_id, {"grace"})
        move.state, move.retire_all = "retiring", everything
        move.problem = ""
        record(session, actor, f"{move.kind}.move.retire_now", move.source, everything=everything)
        return move


def extend_grace_period(actor: Actor, move_id: int) -> Move:
    """Extend the grace period of the old path by one more grace period, at least one day.

    The extension is counted from the current end, or from now if the end has passed or is not set.

    Raises:
        NotFound: there is no such move.
        StateConflict: there is no old path, or it is already being deleted.
    """
    with writing() as session:
        move = _lock_move(session, move_id, {"grace"})
        days = timedelta(days=max(1, grace_days()))
        until = max(move.grace_until or utc_now(), utc_now()) + days
        old_paths.set_grace_end(session, move, until)
        record(session, actor, f"{move.kind}.move.keep", move.source, until=until.isoformat())
        return move


def retire_due() -> list[int]:
    """Queue the deletion of old paths whose grace period has ended; return the move IDs."""
    with writing() as session:
        due = select(Move).where(Move.state == "grace", Move.grace_until <= utc_now())
        moves = list(session.scalars(due.with_for_update(skip_locked=True)))
        for move in moves:
            move.state = "retiring"
        return [move.id for move in moves]


def grace_days() -> int:
    """Return the length of the grace period of an old path in days."""
    days: int = current_app.config["SETTINGS"].move_grace_days
    return days


def repositories_of(move: Move) -> list[MovedRepository]:
    """Return the repositories of a move, first those with content left at the old path.

    At most MAX_LISTED_REPOSITORIES are returned.
    """
    query = (
        select(MovedRepository)
        .where(MovedRepository.move_id == move.id)
        .order_by(MovedRepository.state != "kept", MovedRepository.number)
        .limit(MAX_LISTED_REPOSITORIES)
    )
    return list(db.session.scalars(query))


def progress_of(move: Move) -> tuple[int, int]:
    """Return how many tags of a move have been processed, and its total number of tags."""
    query = select(func.sum(MovedRepository.done), func.sum(MovedRepository.tag_count))
    done, total = db.session.execute(query.where(MovedRepository.move_id == move.id)).one()
    return done or 0, total or 0


def under_way(place: Place) -> list[Move]:
    """Return the unfinished moves, before their switch, of a namespace or project.

    For a project, the moves of images out of that project are included.
    """
    query = select(Move).where(Move.place_id == place.id, Move.state.in_(BEFORE_SWITCH))
    return list(db.session.scalars(query.order_by(Move.id)))


def states_of(move: Move) -> Counter[str]:
    """Return the number of repositories of a move in each state."""
    query = select(MovedRepository.state).where(MovedRepository.move_id == move.id)
    return Counter(db.session.scalars(query))


def example_pull(plan: MovePreview) -> str:
    """Return an example of an image reference that can be pulled once a planned move is done.

    Args:
        plan: the stored preview of the move.

    Returns:
        The reference, or an empty string if there is no suitable tag.
    """
    old, new = next(((old, new) for old, new, count in plan["repositories"] if count), ("", ""))
    query = (
        select(Tag.name)
        .join(ContainerImage, ContainerImage.id == Tag.image_id)
        .where(ContainerImage.path == old, Tag.damage.is_(None))
        .order_by(Tag.pushed_at.desc())
        .limit(MAX_EXAMPLE_CANDIDATES)
    )
    names = [name for name in db.session.scalars(query) if subject_of(name) is None]
    if not names:
        return ""
    return f"{new}:{'latest' if 'latest' in names else names[0]}"


def old_paths_of(place: Place) -> list[tuple[OldPath, Move]]:
    """Return the old paths of a namespace or project that can still be pulled, with their moves."""
    return _load_old_paths(place.path, exact=False)


def old_paths_of_image(image: ContainerImage) -> list[tuple[OldPath, Move]]:
    """Return the old paths from moves of this image alone, not of a place, with these moves."""
    return _load_old_paths(image.path, exact=True)


def _load_old_paths(new_path: str, *, exact: bool) -> list[tuple[OldPath, Move]]:
    query = (
        select(OldPath, Move)
        .join(Move, Move.id == OldPath.move_id)
        .where(OldPath.new_path == new_path, OldPath.exact.is_(exact))
        .order_by(OldPath.path)
    )
    return [(row, move) for row, move in db.session.execute(query)]


def forget_plans(session: Session) -> None:
    """Delete the plans of moves that were not confirmed within PLAN_LIFETIME."""
    is_expired = Move.created_at < utc_now() - PLAN_LIFETIME
    session.execute(
        delete(Move)
        .where(Move.state == "planned", is_expired)
        .execution_options(synchronize_session=False)
    )


def _lock_paths(session: Session, move: Move) -> None:
    """Lock all namespaces and projects at or above both paths of a move.

    Moves that affect the same path then start one after the other.
    """
    paths = {*prefixes(move.source), *prefixes(move.target)}
    places = select(Place.id).where(Place.path.in_(paths)).order_by(Place.path)
    session.execute(places.with_for_update())


def _lock_move(
    session: Session, move_id: int, states: Collection[str], *, before_switch: bool = False
) -> Move:
    """Lock and return a move that is in one of these states and is not being canceled.

    Args:
        session: the session of the current transaction.
        move_id: the ID of the move.
        states: the states in which the caller can change the move.
        before_switch: whether the content must still be at the old path. After the switch, to
            cancel the move would delete the content at the new path.

    Raises:
        NotFound: there is no such move.
        StateConflict: the move is in a different state, is being canceled, or, with
            ``before_switch``, has been switched.
    """
    move = session.get(Move, move_id, with_for_update=True, populate_existing=True)
    if move is None:
        raise NotFound
    is_too_late = before_switch and move.switched_at is not None
    if move.state not in states or move.cancel_wanted or is_too_late:
        raise StateConflict(NOT_POSSIBLE, hint="Reload the page to see how far it is.")
    return move
