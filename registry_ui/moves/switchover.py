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
    TrashedTag,
)
from ..names import PlacePath
from ..operations.errors import Canceled, OperationFailed

#: States of a move whose old paths can still be pulled.
OLD_PATH_STATES = ("grace", "retiring")


def switch(session: Session, move: Move, until: datetime, *, has_repositories: bool) -> None:
    """Change every reference from the old path to the new one.

    Must run in the transaction that changes the state of the move.

    Args:
        session: the database session of that transaction.
        move: the move to switch.
        until: end of the grace period, during which the old path can be pulled.
        has_repositories: whether there are repositories to pull by the old path.

    Raises:
        Canceled: the move was canceled at the last moment.
        OperationFailed: the source no longer exists, or the namespace or project that is to contain
            the target.
    """
    if move.cancel_wanted:
        raise Canceled
    if move.kind == "image":
        _switch_image(session, move)
    else:
        _switch_place(session, move)
    session.execute(delete(TagClaim).where(at_or_below(TagClaim.repository, move.source)))
    if has_repositories:
        _keep_old_path(session, move, until)
    _update_earlier_moves(session, move)
    actor = Actor(move.requested_by)
    record(session, actor, f"{move.kind}.move", move.target, source=move.source)


def _switch_place(session: Session, move: Move) -> None:
    place = _lock_place(session, Place.path == move.source)
    if place is None or place.id != move.place_id:
        raise OperationFailed(f"{move.source} no longer exists.")
    parent_path = PlacePath(move.target).parent
    parent = _lock_place(session, Place.path == parent_path) if parent_path else None
    if parent_path and (parent is None or parent.kind == "project"):
        raise OperationFailed(f"The namespace {parent_path} no longer exists.")
    _lock_places_below(session, move.source)
    place_ids = select(Place.id).where(at_or_below(Place.path, move.source))
    for model in (Removal, Copy):
        _discard_plans(session, model, model.project_id.in_(place_ids))
        is_inside = model.project_id.in_(place_ids) & at_or_below(model.project_path, move.source)
        _update_rows(
            session, model, is_inside, project_path=_renamed_path(model.project_path, move)
        )
    _discard_plans(session, Copy, at_or_below(Copy.source, move.source))
    # Rename the targets of removals too: more users can read the activity of a place than are
    # allowed to know its old path.
    is_tag = Removal.target.startswith(move.source + ":", autoescape=True)
    is_moved = Removal.project_id.in_(place_ids) & (
        at_or_below(Removal.target, move.source) | is_tag
    )
    _update_rows(session, Removal, is_moved, target=_renamed_path(Removal.target, move))
    _rename_paths(session, move, Place.path, Place)
    _update_rows(session, Place, Place.id == place.id, parent_id=parent.id if parent else None)
    _rename_paths(session, move, ContainerImage.path, ContainerImage)
    _rename_paths(session, move, TrashedTag.repository, TrashedTag)
    _rename_paths(session, move, ProtectionViolation.repository, ProtectionViolation)
    _rename_paths(session, move, AccessToken.restriction_path, AccessToken)


def _switch_image(session: Session, move: Move) -> None:
    image = _lock_image(session, move)
    project = _lock_place(session, Place.id == move.new_project_id)
    if image is None or project is None or project.path not in prefixes(move.target):
        raise OperationFailed(f"{move.source} or the project of {move.target} no longer exists.")
    old_project, old_name = image.project_id, image.name
    name = move.target[len(project.path) + 1 :]
    is_tag = Removal.target.startswith(move.source + ":", autoescape=True)
    _discard_plans(session, Removal, (Removal.target == move.source) | is_tag)
    _discard_plans(session, Copy, (Copy.source == move.source) | (Copy.target == move.source))
    _delete_unlisted_image(session, move.target)
    _update_rows(
        session,
        ContainerImage,
        ContainerImage.id == image.id,
        project_id=project.id,
        name=name,
        path=move.target,
    )
    is_in_trash = TrashedTag.repository == move.source
    _update_rows(session, TrashedTag, is_in_trash, project_id=project.id, repository=move.target)
    is_violation = ProtectionViolation.repository == move.source
    _update_rows(
        session, ProtectionViolation, is_violation, place_id=project.id, repository=move.target
    )
    is_restricted = AccessToken.restriction_path == move.source
    is_exact = AccessToken.restriction_exact.is_(True)
    _update_rows(session, AccessToken, is_restricted & is_exact, restriction_path=move.target)
    _move_activity(session, (old_project, old_name), (project.id, name))


def _delete_unlisted_image(session: Session, path: str) -> None:
    """Delete the row of an image at the new path if all its tags are in the trash."""
    session.execute(
        delete(ContainerImage)
        .where(ContainerImage.path == path, ~is_listed())
        .execution_options(synchronize_session=False)
    )


def _lock_place(session: Session, condition: ColumnElement[bool]) -> Place | None:
    return session.scalar(
        select(Place).where(condition).with_for_update().execution_options(populate_existing=True)
    )


def _lock_places_below(session: Session, path: str) -> None:
    """Lock all namespaces and projects at or below a path, including those being created.

    A transaction that creates one locks the parent of the new row. On PostgreSQL, a query that
    waited for that lock does not see the new row, so repeat the query until its result is stable.
    """
    query = select(Place.id).where(at_or_below(Place.path, path)).order_by(Place.path)
    locked_ids: list[int] | None = None
    while (place_ids := list(session.scalars(query.with_for_update()))) != locked_ids:
        locked_ids = place_ids


def _lock_image(session: Session, move: Move) -> ContainerImage | None:
    return session.scalar(
        select(ContainerImage)
        .where(ContainerImage.path == move.source, ContainerImage.project_id == move.place_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def _move_activity(session: Session, old: tuple[int, str], new: tuple[int, str]) -> None:
    """Assign the pushes and daily counts of an image to its new project and name.

    ``old`` and ``new`` are pairs of a project ID and the name of the image in that project.
    """
    old_pushes = (Push.project_id == old[0]) & (Push.name == old[1])
    _update_rows(session, Push, old_pushes, project_id=new[0], name=new[1])
    new_counts = (DailyCount.project_id == new[0]) & (DailyCount.name == new[1])
    counts_by_day = {row.day: row for row in session.scalars(select(DailyCount).where(new_counts))}
    old_counts = (DailyCount.project_id == old[0]) & (DailyCount.name == old[1])
    for row in session.scalars(select(DailyCount).where(old_counts)).all():
        new_row = counts_by_day.get(row.day)
        if new_row is None:
            row.project_id, row.name = new
        else:
            new_row.pushes, new_row.pulls = new_row.pushes + row.pushes, new_row.pulls + row.pulls
            session.delete(row)
    session.flush()


def _discard_plans(
    session: Session, model: type[Removal | Copy], condition: ColumnElement[bool]
) -> None:
    """Cancel matching plans that are not confirmed, because they contain old paths."""
    _update_rows(session, model, (model.state == "planned") & condition, state="cancelled")


def _keep_old_path(session: Session, move: Move, until: datetime) -> None:
    """Keep the old path available for pulls during the grace period.

    If a namespace above the moved namespace or project was moved earlier, pulls through the old
    path of that namespace stay possible, too.
    """
    exact = move.kind == "image"
    session.add(
        OldPath(path=move.source, exact=exact, new_path=move.target, until=until, move_id=move.id)
    )
    if exact:
        return
    covering = select(OldPath).where(
        OldPath.new_path.in_(prefixes(move.source)[:-1]), OldPath.exact.is_(False)
    )
    for row in session.scalars(covering).all():
        _add_old_path(session, row, move, exact=False)


def _update_earlier_moves(session: Session, move: Move) -> None:
    """Point the old paths of earlier moves to the new path, if they can still be pulled."""
    earlier_ids = select(Move.id).where(Move.state.in_(OLD_PATH_STATES), Move.id != move.id)
    is_of_earlier = MovedRepository.move_id.in_(earlier_ids)
    if move.kind == "image":
        _update_rows(session, OldPath, OldPath.new_path == move.source, new_path=move.target)
        is_image = is_of_earlier & (MovedRepository.target == move.source)
        _update_rows(session, MovedRepository, is_image, target=move.target)
        _keep_inherited_paths(session, move)
        return
    _rename_paths(session, move, OldPath.new_path, OldPath)
    is_inside = is_of_earlier & at_or_below(MovedRepository.target, move.source)
    _update_rows(
        session, MovedRepository, is_inside, target=_renamed_path(MovedRepository.target, move)
    )


def _keep_inherited_paths(session: Session, move: Move) -> None:
    """Keep a moved image pullable by the old paths of the project and namespaces that it leaves."""
    covering = select(OldPath).where(
        OldPath.new_path.in_(prefixes(move.source)), OldPath.exact.is_(False)
    )
    for row in session.scalars(covering).all():
        _add_old_path(session, row, move, exact=True)


def _add_old_path(session: Session, row: OldPath, move: Move, *, exact: bool) -> None:
    """Add an old path for what is moved, derived from the old path of a namespace or project above.

    Args:
        session: the database session.
        row: the old path of a namespace or project that contained the source of the move.
        move: the move.
        exact: whether the new row covers only one path, as for an image, and nothing below.
    """
    insert_if_absent(
        session,
        OldPath,
        path=row.path + move.source[len(row.new_path) :],
        exact=exact,
        new_path=move.target,
        until=row.until,
        move_id=row.move_id,
        stopped=row.stopped,
    )


def _rename_paths(session: Session, move: Move, column: Any, model: Any) -> None:
    """Replace the old path with the new one in a column, for rows at or below the old path."""
    _update_rows(
        session,
        model,
        at_or_below(column, move.source),
        **{column.key: _renamed_path(column, move)},
    )


def _renamed_path(column: Any, move: Move) -> Any:
    return literal(move.target, String) + func.substr(column, len(move.source) + 1)


def _update_rows(
    session: Session, model: Any, condition: ColumnElement[bool], **values: Any
) -> None:
    session.execute(
        update(model).where(condition).values(**values).execution_options(synchronize_session=False)
    )
