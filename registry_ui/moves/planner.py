"""Plan a move: what it changes and whether it is allowed, without changing anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, true
from sqlalchemy.orm import Session

from ..access import Role, at_or_below, below
from ..access.lookup import owning_project, prefixes
from ..access.reserved_paths import find_move_conflict, has_old_path, is_taken
from ..catalog.images import is_listed
from ..catalog.pull_through import refuse_push
from ..db.session import db
from ..errors import Conflict, Invalid
from ..models import (
    AccessToken,
    ContainerImage,
    DeployToken,
    Move,
    Namespace,
    Place,
    Project,
    RetentionPolicy,
    Tag,
    TrashedTag,
    UnassignedRepository,
)
from ..models.move import MovePreview, RoleChange
from ..names import MAX_NAME, NameInvalid, PlacePath, RepositoryName
from ..removals.service import unfinished
from .membership_changes import role_changes
from .rule_check import first_refusal

#: Maximum number of repositories and role changes listed in a preview; the rest is only counted.
PREVIEW_LIMIT = 50
NOT_PLANNED = "Nothing was planned."
PATH_TAKEN = "“{}” is taken. Choose another path."


@dataclass(slots=True)
class MovePlan:
    """What a move changes: repositories, namespaces, projects, roles, and visibility.

    Attributes:
        source: the old path.
        target: the new path.
        repositories: tuples of old path, new path, and number of tags.
        places: number of namespaces and projects inside the namespace that moves.
        changes: role changes, because roles are inherited from the parent namespaces.
        visibility: visibility of an image before and after, or None if it does not change.
        new_project_id: ID of the project that an image moves to; None for a namespace or project.
        notes: further effects, as sentences for users.
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

    def preview(self) -> MovePreview:
        """Return the part of the plan that is stored and shown to users, as JSON values."""
        return {
            "repositories": [list(row) for row in self.repositories[:PREVIEW_LIMIT]],
            "repositories_more": len(self.repositories[PREVIEW_LIMIT:]),
            "tags": self.tags,
            "places": self.places,
            "changes": self.changes[:PREVIEW_LIMIT],
            "changes_more": len(self.changes[PREVIEW_LIMIT:]),
            "visibility": list(self.visibility) if self.visibility else None,
            "notes": self.notes,
            "unread": self.unread,
        }


def plan_place(place: Place, target: str) -> MovePlan:
    """Plan a new path for a namespace or project, including everything in it.

    Raises:
        Invalid: the new path cannot be used or is taken.
        Conflict: something in the namespace or project is being deleted or moved.
        RegistryUnreachable: the registry is a pull-through cache.
    """
    refuse_push()
    session, source = db.session(), place.path
    try:
        path = PlacePath(target)
    except NameInvalid as error:
        raise _invalid_target(str(error)) from None
    if isinstance(place, Namespace) and place.is_personal:
        raise _invalid_target("A personal namespace has the name of its account.")
    _require_different(source, target)
    if target.startswith(source + "/"):
        raise _invalid_target(f"“{target}” lies in what is to be moved.")
    _require_parent(session, place, path)
    if session.scalar(select(Place.id).where(Place.path == target)) is not None:
        raise _invalid_target(PATH_TAKEN.format(target))
    _require_free(session, target)
    _require_no_conflict(session, source, target, source)
    plan = MovePlan(place.kind, source, target, _load_repositories(session, source, target))
    inner_paths = list(session.scalars(select(Place.path).where(below(Place.path, source))))
    plan.places = len(inner_paths)
    plan.unread = _load_damaged_tags(session, at_or_below(ContainerImage.path, source))
    _require_lengths(
        [source, *inner_paths, *(old for old, _, _ in plan.repositories)], source, target
    )
    ancestors, new_ancestors = prefixes(source)[:-1], prefixes(target)[:-1]
    plan.changes = role_changes(session, ancestors, new_ancestors, source)
    plan.notes += _describe_credentials(session, plan, ancestors, new_ancestors)
    return plan


def plan_image(
    image: ContainerImage,
    project: Project,
    target: str,
    role: Role | None,
    new_role: Role | None,
) -> MovePlan:
    """Plan a new path for an image, in the same project or a different one.

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
        RegistryUnreachable: the registry is a pull-through cache.
    """
    refuse_push()
    session, source = db.session(), image.path
    owner = _require_image_target(session, source, target)
    _require_no_conflict(session, source, target, project.path)
    _require_unprotected(session, image, target, (role, new_role))
    count = session.scalar(select(func.count()).where(Tag.image_id == image.id)) or 0
    plan = MovePlan("image", source, target, [(source, target, count)])
    plan.new_project_id = owner.id
    plan.unread = _load_damaged_tags(session, ContainerImage.path == source)
    if owner.id != project.id:
        before, after = prefixes(project.path), prefixes(owner.path)
        plan.changes = role_changes(session, before, after)
        plan.notes += _describe_credentials(session, plan, before, after)
    if owner.visibility != project.visibility:
        plan.visibility = (str(project.visibility), str(owner.visibility))
    return plan


def require_still_free(session: Session, move: Move) -> None:
    """Raise Conflict if a planned move can no longer start, for example if its target is taken."""
    model = ContainerImage if move.kind == "image" else Place
    is_current = is_listed() if move.kind == "image" else true()
    id_at_target = session.scalar(select(model.id).where(model.path == move.target, is_current))
    if id_at_target is not None or is_taken(session, move.target):
        raise Conflict(f"“{move.target}” is taken.", hint="Plan the move again.")
    place = session.get(Place, move.place_id) if move.place_id else None
    _require_no_conflict(session, move.source, move.target, place.path if place else move.source)


def _invalid_target(message: str) -> Invalid:
    return Invalid(NOT_PLANNED, {"target": message})


def _require_different(source: str, target: str) -> None:
    if target == source:
        raise _invalid_target("That is where it is.")


def _require_image_target(session: Session, source: str, target: str) -> Project:
    """Return the project that owns the target of an image; raise Invalid if it cannot be used."""
    try:
        RepositoryName(target)
    except NameInvalid as error:
        raise _invalid_target(str(error)) from None
    _require_different(source, target)
    owner = owning_project(session, target)
    if owner is None:
        raise _invalid_target(f"No project owns “{target}”. Create one first.")
    images_at_target = select(ContainerImage.id).where(ContainerImage.path == target, is_listed())
    if session.scalar(images_at_target) is not None:
        raise _invalid_target(f"There is an image “{target}”.")
    _require_free(session, target)
    return owner


def _require_unprotected(
    session: Session, image: ContainerImage, target: str, roles: tuple[Role | None, Role | None]
) -> None:
    """Raise Invalid if a protection rule at the old or the new path refuses the move of a tag."""
    names = session.scalars(select(Tag.name).where(Tag.image_id == image.id).order_by(Tag.name))
    reason = first_refusal(session, image.path, target, names, roles)
    if reason:
        raise _invalid_target(f"{reason[0].upper()}{reason[1:]}.")


def _require_parent(session: Session, place: Place, path: PlacePath) -> None:
    if path.parent is None:
        if isinstance(place, Project):
            raise _invalid_target(
                "A project lies in a namespace: give a path such as group/project."
            )
        return
    parent = session.scalar(select(Place).where(Place.path == path.parent))
    if parent is None:
        raise _invalid_target(f"There is no namespace “{path.parent}”. Create it first.")
    if parent.kind == "project":
        raise _invalid_target(f"“{path.parent}” is a project, and holds only images.")


def _require_free(session: Session, target: str) -> None:
    in_use = select(UnassignedRepository.path).where(
        at_or_below(UnassignedRepository.path, target),
        # A repository without tags is left over from a removal or an earlier move.
        or_(UnassignedRepository.tag_count.is_(None), UnassignedRepository.tag_count > 0),
    )
    if session.scalar(in_use.limit(1)) is not None or is_taken(session, target):
        raise _invalid_target(PATH_TAKEN.format(target))


def _require_no_conflict(session: Session, source: str, target: str, place: str) -> None:
    """Raise Conflict if a move or removal that affects one of these paths is unfinished.

    Args:
        session: the database session.
        source: the path that moves.
        target: the new path.
        place: path of the namespace or project that the user maintains. The error message names no
            move outside of that.
    """
    conflict = find_move_conflict(session, source, place) or find_move_conflict(
        session, target, place
    )
    if conflict is not None:
        raise conflict
    if unfinished(session, source):
        raise Conflict("Something of this is being deleted.", hint="Move it when that is done.")


def _require_lengths(paths: list[str], source: str, target: str) -> None:
    longest = max(paths, key=len)
    if len(longest) - len(source) + len(target) > MAX_NAME:
        new_path = target + longest[len(source) :]
        raise _invalid_target(f"“{new_path}” would be longer than {MAX_NAME} characters.")


def _load_repositories(session: Session, source: str, target: str) -> list[tuple[str, str, int]]:
    """Return the repositories at or below a path that the database knows, including trash entries.

    Returns:
        Tuples of old path, new path, and number of tags, sorted by old path.
    """
    images = (
        select(ContainerImage.path, func.count(Tag.id))
        .outerjoin(Tag, Tag.image_id == ContainerImage.id)
        .where(at_or_below(ContainerImage.path, source))
        .group_by(ContainerImage.path)
    )
    in_trash = (
        select(TrashedTag.repository, func.count())
        .where(at_or_below(TrashedTag.repository, source))
        .group_by(TrashedTag.repository)
    )
    counts: Counter[str] = Counter()
    for path, count in [*session.execute(images).all(), *session.execute(in_trash).all()]:
        counts[path] += count
    return [(path, target + path[len(source) :], count) for path, count in sorted(counts.items())]


def _load_damaged_tags(session: Session, where: ColumnElement[bool]) -> list[str]:
    """Return the tags that the database marks as damaged, as "repository:tag".

    Tags that were deleted but are still listed by the registry are not included.
    """
    query = (
        select(ContainerImage.path, Tag.name)
        .join(Tag, Tag.image_id == ContainerImage.id)
        .where(where, Tag.damage.in_(["fault", "missing"]))
        .order_by(ContainerImage.path, Tag.name)
    )
    return [f"{path}:{name}" for path, name in session.execute(query)]


def _describe_credentials(
    session: Session, plan: MovePlan, before: list[str], after: list[str]
) -> list[str]:
    """Return notes about access tokens, deploy tokens, retention policies, and old paths.

    Args:
        session: the database session.
        plan: the move.
        before: paths of the namespaces and projects above, before the move.
        after: their paths after the move.
    """
    notes: list[str] = []
    lost = [path for path in before if path not in after]
    gained = [path for path in after if path not in before]
    tokens = select(func.count()).select_from(AccessToken).where(AccessToken.revoked_at.is_(None))
    inside = tokens.where(at_or_below(AccessToken.restriction_path, plan.source))
    inside_count = session.scalar(inside) or 0
    if inside_count and plan.kind != "image":
        notes.append(f"Access tokens that are limited to this path follow it: {inside_count}.")
    lost_count = session.scalar(tokens.where(AccessToken.restriction_path.in_(lost))) or 0
    if lost_count:
        text = "Access tokens that are limited to a path above, and hold here no more"
        notes.append(f"{text}: {lost_count}.")
    effects = {"hold here no more": lost, "hold here too": gained}
    notes += _count_notes(session, DeployToken, "Deploy tokens", effects)
    notes += _count_notes(session, RetentionPolicy, "Retention policies", effects)
    if has_old_path(session, plan.source):
        notes.append("Earlier names of this can still be pulled, and lead to the new path.")
    return notes


def _count_notes(
    session: Session, model: Any, noun: str, effects: Mapping[str, list[str]]
) -> list[str]:
    """Return notes on how many deploy tokens or retention policies a move affects.

    Args:
        session: the database session.
        model: DeployToken or RetentionPolicy.
        noun: the name of such rows for users.
        effects: paths of namespaces and projects, by the effect that the move has on their rows.
    """
    counts = select(func.count()).select_from(model).join(Place, Place.id == model.place_id)
    is_active = model.revoked_at.is_(None) if model is DeployToken else model.is_enabled.is_(True)
    notes = []
    for effect, paths in effects.items():
        count = session.scalar(counts.where(is_active, Place.path.in_(paths))) or 0
        if count:
            notes.append(f"{noun} of {', '.join(paths)} that {effect}: {count}.")
    return notes
