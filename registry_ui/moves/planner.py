"""Plan a move: what it changes and whether it is allowed, without changing anything."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, true
from sqlalchemy.orm import Session

from ..access import Role, at_or_below, below
from ..access.lookup import owning_project, prefixes
from ..access.reserved_paths import find_move, has_former, is_taken
from ..catalog.images import is_listed
from ..catalog.pull_through import refuse_push
from ..db.session import db
from ..errors import Conflict, Invalid
from ..models import (
    AccessToken,
    BinnedTag,
    ContainerImage,
    DeployToken,
    Move,
    Namespace,
    Place,
    Project,
    RetentionPolicy,
    Tag,
    UnassignedRepository,
)
from ..names import MAX_NAME, NameInvalid, PlacePath, RepositoryName
from ..removals.service import unfinished
from .membership_changes import RoleChange, role_changes
from .rule_check import first_refusal

#: Maximum number of repositories and role changes listed in a preview; the rest is only counted.
NAMED = 50
NOT_PLANNED = "Nothing was planned."
TAKEN = "“{}” is taken. Choose another path."


@dataclass(slots=True)
class MovePlan:
    """What a move changes: repositories, places, roles, and visibility.

    Attributes:
        repositories: tuples of old path, new path, and number of tags.
        places: number of namespaces and projects inside the one that moves.
        changes: role changes, because roles are inherited from the parent namespaces.
        visibility: visibility of an image before and after, or None if it does not change.
        new_project_id: project that an image moves to; None for a place.
    """

    kind: str
    source: str
    target: str
    repositories: list[tuple[str, str, int]] = field(default_factory=list)
    places: int = 0
    changes: list[RoleChange] = field(default_factory=list)
    visibility: tuple[str, str] | None = None
    new_project_id: int | None = None
    notes: list[str] = field(default_factory=list)
    #: Tags that the registry cannot read, so they are left out, as "repository:tag".
    unread: list[str] = field(default_factory=list)

    @property
    def tags(self) -> int:
        """Number of tags in all repositories, including signatures and other referrer tags."""
        return sum(count for _, _, count in self.repositories)

    def preview(self) -> dict[str, Any]:
        """Return the part of the plan that is stored and shown to users, as JSON values."""
        return {
            "repositories": [list(row) for row in self.repositories[:NAMED]],
            "repositories_more": len(self.repositories[NAMED:]),
            "tags": self.tags,
            "places": self.places,
            "changes": [asdict(change) for change in self.changes[:NAMED]],
            "changes_more": len(self.changes[NAMED:]),
            "visibility": list(self.visibility) if self.visibility else None,
            "notes": self.notes,
            "unread": self.unread,
        }


def plan_place(place: Place, target: str) -> MovePlan:
    """Plan a new path for a namespace or project, including everything in it.

    Raises:
        Invalid: the new path cannot be used or is taken.
        Conflict: something in the place is being deleted or moved.
    """
    refuse_push()
    session, source = db.session(), place.path
    try:
        path = PlacePath(target)
    except NameInvalid as error:
        raise _refused(str(error)) from None
    if isinstance(place, Namespace) and place.is_personal:
        raise _refused("A personal namespace has the name of its account.")
    _require_elsewhere(source, target)
    if target.startswith(source + "/"):
        raise _refused(f"“{target}” lies in what is to be moved.")
    _require_parent(session, place, path)
    if session.scalar(select(Place.id).where(Place.path == target)) is not None:
        raise _refused(TAKEN.format(target))
    _require_free(session, target)
    _require_quiet(session, source, target, source)
    plan = MovePlan(place.kind, source, target, _repositories(session, source, target))
    inner = list(session.scalars(select(Place.path).where(below(Place.path, source))))
    plan.places = len(inner)
    plan.unread = _damaged(session, at_or_below(ContainerImage.path, source))
    _require_lengths([source, *inner, *(old for old, _, _ in plan.repositories)], source, target)
    above, new_above = prefixes(source)[:-1], prefixes(target)[:-1]
    plan.changes = role_changes(session, above, new_above, source)
    _note_credentials(session, plan, above, new_above)
    return plan


def plan_image(
    image: ContainerImage,
    project: Project,
    target: str,
    role: Role | None,
    new_role: Role | None,
) -> MovePlan:
    """Plan a new path for an image, in the same project or in another one.

    Args:
        image: the image to move.
        project: the project that owns the image now.
        target: the new repository path.
        role: the requester's role in ``project``, for its protection rules.
        new_role: the requester's role in the project that owns ``target``, for its protection
            rules.

    Raises:
        Invalid: the new path cannot be used, is taken, or belongs to no project; or a protection
            rule refuses the move.
        Conflict: something in the image is being deleted or moved.
    """
    refuse_push()
    session, source = db.session(), image.path
    try:
        RepositoryName(target)
    except NameInvalid as error:
        raise _refused(str(error)) from None
    _require_elsewhere(source, target)
    owner = owning_project(session, target)
    if owner is None:
        raise _refused(f"No project owns “{target}”. Create one first.")
    taken = select(ContainerImage.id).where(ContainerImage.path == target, is_listed())
    if session.scalar(taken) is not None:
        raise _refused(f"There is an image “{target}”.")
    _require_free(session, target)
    _require_quiet(session, source, target, project.path)
    names = session.scalars(select(Tag.name).where(Tag.image_id == image.id).order_by(Tag.name))
    why = first_refusal(session, source, target, names, (role, new_role))
    if why:
        raise _refused(f"{why[0].upper()}{why[1:]}.")
    count = session.scalar(select(func.count()).where(Tag.image_id == image.id)) or 0
    plan = MovePlan("image", source, target, [(source, target, count)])
    plan.new_project_id = owner.id
    plan.unread = _damaged(session, ContainerImage.path == source)
    if owner.id != project.id:
        before, after = prefixes(project.path), prefixes(owner.path)
        plan.changes = role_changes(session, before, after)
        _note_credentials(session, plan, before, after)
    if owner.visibility != project.visibility:
        plan.visibility = (str(project.visibility), str(owner.visibility))
    return plan


def require_still_free(session: Session, move: Move) -> None:
    """Raise Conflict if a planned move can no longer start, for example if its target is taken."""
    model = ContainerImage if move.kind == "image" else Place
    stands = is_listed() if move.kind == "image" else true()
    taken = session.scalar(select(model.id).where(model.path == move.target, stands))
    if taken is not None or is_taken(session, move.target):
        raise Conflict(f"“{move.target}” is taken by now.", hint="Plan the move again.")
    place = session.get(Place, move.place_id) if move.place_id else None
    _require_quiet(session, move.source, move.target, place.path if place else move.source)


def _refused(words: str) -> Invalid:
    return Invalid(NOT_PLANNED, {"target": words})


def _require_elsewhere(source: str, target: str) -> None:
    if target == source:
        raise _refused("That is where it is.")


def _require_parent(session: Session, place: Place, path: PlacePath) -> None:
    if path.parent is None:
        if isinstance(place, Project):
            raise _refused("A project lies in a namespace: give a path such as group/project.")
        return
    parent = session.scalar(select(Place).where(Place.path == path.parent))
    if parent is None:
        raise _refused(f"There is no namespace “{path.parent}”. Create it first.")
    if parent.kind == "project":
        raise _refused(f"“{path.parent}” is a project, and holds only images.")


def _require_free(session: Session, target: str) -> None:
    in_use = select(UnassignedRepository.path).where(
        at_or_below(UnassignedRepository.path, target),
        # A repository without tags is left over from a removal or an earlier move.
        or_(UnassignedRepository.tag_count.is_(None), UnassignedRepository.tag_count > 0),
    )
    if session.scalar(in_use.limit(1)) is not None or is_taken(session, target):
        raise _refused(TAKEN.format(target))


def _require_quiet(session: Session, source: str, target: str, place: str) -> None:
    """Raise Conflict if a move or removal that affects one of these paths is unfinished.

    Args:
        session: the database session.
        source: the path that moves.
        target: the new path.
        place: path of the place that the reader manages; the error message names no move outside
            it.
    """
    moved = find_move(session, source, place) or find_move(session, target, place)
    if moved is not None:
        raise moved
    if unfinished(session, source):
        raise Conflict("Something of this is being deleted.", hint="Move it when that is done.")


def _require_lengths(paths: list[str], source: str, target: str) -> None:
    longest = max(paths, key=len)
    if len(longest) - len(source) + len(target) > MAX_NAME:
        new = target + longest[len(source) :]
        raise _refused(f"“{new}” would be longer than {MAX_NAME} characters.")


def _repositories(session: Session, source: str, target: str) -> list[tuple[str, str, int]]:
    """Return the repositories at or below a path, from the index and the trash.

    Returns:
        Tuples of old path, new path, and number of tags, sorted by old path.
    """
    images = (
        select(ContainerImage.path, func.count(Tag.id))
        .outerjoin(Tag, Tag.image_id == ContainerImage.id)
        .where(at_or_below(ContainerImage.path, source))
        .group_by(ContainerImage.path)
    )
    binned = (
        select(BinnedTag.repository, func.count())
        .where(at_or_below(BinnedTag.repository, source))
        .group_by(BinnedTag.repository)
    )
    counts: Counter[str] = Counter()
    for path, count in [*session.execute(images).all(), *session.execute(binned).all()]:
        counts[path] += count
    return [(path, target + path[len(source) :], count) for path, count in sorted(counts.items())]


def _damaged(session: Session, where: ColumnElement[bool]) -> list[str]:
    """Return the tags that the index marks as damaged, as "repository:tag".

    Tags that were deleted but are still listed by the registry are not included.
    """
    query = (
        select(ContainerImage.path, Tag.name)
        .join(Tag, Tag.image_id == ContainerImage.id)
        .where(where, Tag.damage.in_(["fault", "missing"]))
        .order_by(ContainerImage.path, Tag.name)
    )
    return [f"{path}:{name}" for path, name in session.execute(query)]


def _note_credentials(
    session: Session, plan: MovePlan, before: list[str], after: list[str]
) -> None:
    """Add notes about access tokens, deploy tokens, retention policies, and old paths to a plan."""
    lost = [path for path in before if path not in after]
    gained = [path for path in after if path not in before]
    tokens = select(func.count()).select_from(AccessToken)
    active = AccessToken.revoked_at.is_(None)
    reach = AccessToken.reach_path
    within = session.scalar(tokens.where(active, at_or_below(reach, plan.source))) or 0
    if within and plan.kind != "image":
        plan.notes.append(f"Access tokens that are limited to this path follow it: {within}.")
    without = session.scalar(tokens.where(active, reach.in_(lost))) or 0
    if without:
        words = "Access tokens that are limited to a path above, and hold here no more"
        plan.notes.append(f"{words}: {without}.")
    _note_rows(session, plan, DeployToken, "Deploy tokens", lost, gained)
    _note_rows(session, plan, RetentionPolicy, "Retention policies", lost, gained)
    if has_former(session, plan.source):
        plan.notes.append("Earlier names of this can still be pulled, and lead to the new path.")


def _note_rows(
    session: Session, plan: MovePlan, model: Any, noun: str, lost: list[str], gained: list[str]
) -> None:
    counted = select(func.count()).select_from(model).join(Place, Place.id == model.place_id)
    on = model.revoked_at.is_(None) if model is DeployToken else model.is_enabled.is_(True)
    for paths, words in ((lost, "hold here no more"), (gained, "hold here too")):
        count = session.scalar(counted.where(on, Place.path.in_(paths))) or 0
        if count:
            plan.notes.append(f"{noun} of {', '.join(paths)} that {words}: {count}.")
