"""The switch of a move: update every row that refers to the old path, in one transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, String, delete, func, literal, select, update
from sqlalchemy.orm import Session

from ..access import at_or_below
from ..access.lookup import prefixes
from ..audit import Actor, record
from ..catalog.images import is_listed
from ..db.prepared import insert_if_absent
from ..models import (
    AccessToken,
    BinnedTag,
    ContainerImage,
    Copy,
    DailyCount,
    Move,
    MovedRepository,
    OldPath,
    Place,
    ProtectionViolation,
    Push,
    Removal,
    TagClaim,
)
from ..names import PlacePath
from ..operations.errors import Canceled, OperationFailed

#: States of a move whose old paths can still be pulled.
KEEPS_OLD = ("grace", "retiring")


def switch(session: Session, move: Move, until: datetime, *, keeps_old: bool) -> None:
    """Change every reference from the old path to the new one.

    Must run in the transaction that changes the state of the move.

    Args:
        session: the database session of that transaction.
        move: the move to switch.
        until: end of the grace period, during which the old path can be pulled.
        keeps_old: whether there are repositories to pull by the old path.

    Raises:
        Canceled: the move was canceled at the last moment.
        OperationFailed: the source, or the parent of the target, no longer exists.
    """
    if move.cancel_wanted:
        raise Canceled
    if move.kind == "image":
        _switch_image(session, move)
    else:
        _switch_place(session, move)
    session.execute(delete(TagClaim).where(at_or_below(TagClaim.repository, move.source)))
    if keeps_old:
        _keep_old(session, move, until)
    _follow(session, move)
    actor = Actor(move.requested_by)
    record(session, actor, f"{move.kind}.move", move.target, source=move.source)


def _switch_place(session: Session, move: Move) -> None:
    place = _locked(session, Place.path == move.source)
    if place is None or place.id != move.place_id:
        raise OperationFailed(f"{move.source} is not there any more.")
    above = PlacePath(move.target).parent
    parent = _locked(session, Place.path == above) if above else None
    if above and (parent is None or parent.kind == "project"):
        raise OperationFailed(f"There is no namespace {above} any more.")
    _hold_all(session, move.source)
    moved = select(Place.id).where(at_or_below(Place.path, move.source))
    for model in (Removal, Copy):
        _discard_plans(session, model, model.project_id.in_(moved))
        here = model.project_id.in_(moved) & at_or_below(model.project_path, move.source)
        _set(session, model, here, project_path=_renamed(model.project_path, move))
    _discard_plans(session, Copy, at_or_below(Copy.source, move.source))
    # Rename the targets of removals too: more users can read the activity of a place than are
    # allowed to know its old path.
    tagged = Removal.target.startswith(move.source + ":", autoescape=True)
    removed = Removal.project_id.in_(moved) & (at_or_below(Removal.target, move.source) | tagged)
    _set(session, Removal, removed, target=_renamed(Removal.target, move))
    _rename(session, move, Place.path, Place)
    _set(session, Place, Place.id == place.id, parent_id=parent.id if parent else None)
    _rename(session, move, ContainerImage.path, ContainerImage)
    _rename(session, move, BinnedTag.repository, BinnedTag)
    _rename(session, move, ProtectionViolation.repository, ProtectionViolation)
    _rename(session, move, AccessToken.reach_path, AccessToken)


def _switch_image(session: Session, move: Move) -> None:
    image = _locked_image(session, move)
    project = _locked(session, Place.id == move.new_project_id)
    if image is None or project is None or project.path not in prefixes(move.target):
        raise OperationFailed(
            f"{move.source} or the project of {move.target} is not there any more."
        )
    old_project, old_name = image.project_id, image.name
    name = move.target[len(project.path) + 1 :]
    tag = Removal.target.startswith(move.source + ":", autoescape=True)
    _discard_plans(session, Removal, (Removal.target == move.source) | tag)
    _discard_plans(session, Copy, (Copy.source == move.source) | (Copy.target == move.source))
    # An unlisted image with this path has only tags in the trash, so the moved image replaces it.
    session.execute(
        delete(ContainerImage)
        .where(ContainerImage.path == move.target, ~is_listed())
        .execution_options(synchronize_session=False)
    )
    _set(
        session,
        ContainerImage,
        ContainerImage.id == image.id,
        project_id=project.id,
        name=name,
        path=move.target,
    )
    here = {"repository": move.target}
    _set(
        session,
        BinnedTag,
        BinnedTag.repository == move.source,
        project_id=project.id,
        **here,
    )
    _set(
        session,
        ProtectionViolation,
        ProtectionViolation.repository == move.source,
        place_id=project.id,
        **here,
    )
    exactly = (AccessToken.reach_path == move.source) & AccessToken.reach_exact.is_(True)
    _set(session, AccessToken, exactly, reach_path=move.target)
    _move_activity(session, (old_project, old_name), (project.id, name))


def _locked(session: Session, which: ColumnElement[bool]) -> Place | None:
    return session.scalar(
        select(Place).where(which).with_for_update().execution_options(populate_existing=True)
    )


def _hold_all(session: Session, path: str) -> None:
    """Lock every place at or below a path, and wait for transactions that create one there.

    Such a transaction locks the parent of the new place. On PostgreSQL a query that waited for that
    lock does not see the new row, so repeat the query until its result is stable.
    """
    query = select(Place.id).where(at_or_below(Place.path, path)).order_by(Place.path)
    held: list[int] | None = None
    while (found := list(session.scalars(query.with_for_update()))) != held:
        held = found


def _locked_image(session: Session, move: Move) -> ContainerImage | None:
    return session.scalar(
        select(ContainerImage)
        .where(ContainerImage.path == move.source, ContainerImage.project_id == move.place_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def _move_activity(session: Session, old: tuple[int, str], new: tuple[int, str]) -> None:
    """Assign the pushes and daily counts of an image to its new project and name."""
    was = (Push.project_id == old[0]) & (Push.name == old[1])
    _set(session, Push, was, project_id=new[0], name=new[1])
    there = (DailyCount.project_id == new[0]) & (DailyCount.name == new[1])
    counted = {row.day: row for row in session.scalars(select(DailyCount).where(there))}
    here = (DailyCount.project_id == old[0]) & (DailyCount.name == old[1])
    for row in session.scalars(select(DailyCount).where(here)).all():
        other = counted.get(row.day)
        if other is None:
            row.project_id, row.name = new
        else:
            other.pushes, other.pulls = other.pushes + row.pushes, other.pulls + row.pulls
            session.delete(row)
    session.flush()


def _discard_plans(
    session: Session, model: type[Removal | Copy], which: ColumnElement[bool]
) -> None:
    """Cancel unconfirmed plans that match, because they name repositories by their old paths."""
    _set(session, model, (model.state == "planned") & which, state="cancelled")


def _keep_old(session: Session, move: Move, until: datetime) -> None:
    """Keep the old path available for pulls during the grace period.

    For a namespace or project, it also stays pullable below the old paths of the places above it.
    """
    exact = move.kind == "image"
    session.add(
        OldPath(path=move.source, exact=exact, now=move.target, until=until, move_id=move.id)
    )
    if exact:
        return
    above = select(OldPath).where(
        OldPath.now.in_(prefixes(move.source)[:-1]), OldPath.exact.is_(False)
    )
    for row in session.scalars(above).all():
        _add_former(session, row, move, exact=False)


def _follow(session: Session, move: Move) -> None:
    """Update earlier moves, whose old paths can still be pulled, to point to the new path."""
    earlier = select(Move.id).where(Move.state.in_(KEEPS_OLD), Move.id != move.id)
    of_earlier = MovedRepository.move_id.in_(earlier)
    if move.kind == "image":
        _set(session, OldPath, OldPath.now == move.source, now=move.target)
        same = of_earlier & (MovedRepository.target == move.source)
        _set(session, MovedRepository, same, target=move.target)
        _follow_image(session, move)
        return
    _rename(session, move, OldPath.now, OldPath)
    within = of_earlier & at_or_below(MovedRepository.target, move.source)
    _set(session, MovedRepository, within, target=_renamed(MovedRepository.target, move))


def _follow_image(session: Session, move: Move) -> None:
    """Keep an image pullable by the old paths of a place that it is moved out of."""
    above = select(OldPath).where(OldPath.now.in_(prefixes(move.source)), OldPath.exact.is_(False))
    for row in session.scalars(above).all():
        _add_former(session, row, move, exact=True)


def _add_former(session: Session, row: OldPath, move: Move, *, exact: bool) -> None:
    """Add an old path for the moved place or image, derived from an old path of a place above it.

    Args:
        session: the database session.
        row: the old path of a place at or above the source of the move.
        move: the move.
        exact: whether the old path covers only itself, as for an image, and nothing below it.
    """
    insert_if_absent(
        session,
        OldPath,
        path=row.path + move.source[len(row.now) :],
        exact=exact,
        now=move.target,
        until=row.until,
        move_id=row.move_id,
        stopped=row.stopped,
    )


def _rename(session: Session, move: Move, column: Any, model: Any) -> None:
    """Replace the old path by the new one in a column, for rows at or below the old path."""
    _set(session, model, at_or_below(column, move.source), **{column.key: _renamed(column, move)})


def _renamed(column: Any, move: Move) -> Any:
    return literal(move.target, String) + func.substr(column, len(move.source) + 1)


def _set(session: Session, model: Any, which: ColumnElement[bool], **values: Any) -> None:
    session.execute(
        update(model).where(which).values(**values).execution_options(synchronize_session=False)
    )
