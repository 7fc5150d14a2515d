"""Create and change places (namespaces and projects) and their members, with audit entries."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from ..access import Role, Visibility, at_or_below, managed_places
from ..access.lookup import prefixes
from ..access.reserved_paths import find_old_path_conflict, require_free
from ..audit import Actor, record
from ..db.session import db, writing
from ..errors import Conflict, Denied, Invalid, NotFound
from ..models import (
    REGISTRY_READ,
    Heartbeat,
    Membership,
    Move,
    Namespace,
    Place,
    Project,
    Removal,
    UnassignedRepository,
    User,
)
from ..names import (
    RESERVED_FIRST_SEGMENTS,
    NameInvalid,
    PlacePath,
    path_component,
    suggest_component,
)

MAX_DESCRIPTION = 2000
#: Maximum number of places listed in a warning.
MAX_LISTED_PLACES = 100
PERSONAL_NAMESPACE = "A personal namespace goes with its account."


def validate_path(text: str, field: str = "name") -> PlacePath:
    """Return a text as the path of a namespace or project; raise Invalid if it is not a valid path.

    Args:
        text: the text from a request.
        field: name of the form field to which an error belongs.
    """
    try:
        return PlacePath(text)
    except NameInvalid as error:
        raise Invalid("The name can't be used.", {field: str(error)}) from None


def path_below(parent: str, name: str) -> str:
    """Return the path of a new namespace or project, given its parent's path and its name.

    Args:
        parent: the path of the parent; empty at the top level.
        name: the name of the new namespace or project.

    Raises:
        Invalid: the name is not a single valid path segment. A name with a slash is refused,
            because the permission to create was checked only for ``parent``.
    """
    try:
        path_component(name)
    except NameInvalid as error:
        message, suggestion = str(error), suggest_component(name)
        if suggestion and (parent or suggestion not in RESERVED_FIRST_SEGMENTS):
            message += f" “{suggestion}” can be used."
        raise Invalid("The name can't be used.", {"name": message}) from None
    return str(validate_path(f"{parent}/{name}" if parent else name))


def validate_visibility(text: str) -> str:
    """Return the text if it is a valid visibility; otherwise raise Invalid."""
    if text not in set(Visibility):
        message = f"Choose one of {', '.join(Visibility)}."
        raise Invalid("The visibility can't be used.", {"visibility": message})
    return text


def validate_role(text: str) -> Role:
    """Return the role with this name; raise Invalid if there is no such role."""
    try:
        return Role.parse(text)
    except ValueError as error:
        raise Invalid("The role can't be used.", {"role": str(error)}) from None


def validate_description(text: str) -> str:
    """Return a description without surrounding spaces; raise Invalid if it is too long."""
    text = text.strip().replace("\x00", "")
    if len(text) > MAX_DESCRIPTION:
        message = f"A description has at most {MAX_DESCRIPTION} characters."
        raise Invalid("The description is too long.", {"description": message})
    return text


def create_namespace(
    actor: Actor, path: str, description: str = "", owner: User | None = None
) -> Namespace:
    """Create a namespace.

    Args:
        actor: the requester, for the audit log.
        path: the path of the namespace.
        description: its description.
        owner: user who becomes its Owner; used only for a top-level namespace.

    Raises:
        Invalid: the path or the description is not valid.
        NotFound: the parent namespace does not exist.
        Conflict: the path is taken, or lies in a project.
    """
    namespace = Namespace(
        path=str(validate_path(path)), description=validate_description(description)
    )
    _insert_place(actor, namespace, owner)
    return namespace


def create_project(
    actor: Actor,
    path: str,
    visibility: str = Visibility.PRIVATE,
    description: str = "",
    owner: User | None = None,
) -> Project:
    """Create a project in an existing namespace or at the top level.

    Only a top-level project can own a repository with a single-segment name, such as ``nginx``.

    Args:
        actor: the requester, for the audit log.
        path: the path of the project.
        visibility: its visibility.
        description: its description.
        owner: user who becomes its Owner; used only for a top-level project.

    Raises:
        Invalid: the path, the visibility, or the description is not valid.
        NotFound: the parent namespace does not exist.
        Conflict: the path is taken, or lies in a project.
    """
    project = Project(
        path=str(validate_path(path)),
        visibility=validate_visibility(visibility),
        description=validate_description(description),
    )
    _insert_place(actor, project, owner)
    return project


def require_unclaimed(path: str) -> None:
    """Require that users who are not administrators are allowed to create a top-level path.

    The Owner of a top-level place also owns the repositories that are adopted below it, so only
    administrators may take a name that the registry already uses.

    Raises:
        Denied: repositories that no project owns lie at or below the path; the path was used before
            a removal or move; the registry has not been read completely yet; or Docker could take
            the name for a different registry.
    """
    if PlacePath(path).is_restricted:
        raise Denied(
            f"Only administrators create “{path}”: docker could take it for another registry."
        )
    session = db.session
    unassigned = select(UnassignedRepository.path).where(
        at_or_below(UnassignedRepository.path, path)
    )
    if session.scalar(unassigned.limit(1)):
        raise Denied("This name is in use in the registry. Ask an administrator to create it.")
    # Blobs of removed or moved repositories stay in the registry until garbage collection and can
    # be pulled by digest.
    removals = select(Removal.id).where(
        Removal.kind.in_(["project", "namespace"]), at_or_below(Removal.project_path, path)
    )
    moves = select(Move.id).where(Move.switched_at.is_not(None), at_or_below(Move.source, path))
    if session.scalar(removals.limit(1)) or session.scalar(moves.limit(1)):
        raise Denied("This name was in use before. Ask an administrator to create it again.")
    if session.get(Heartbeat, REGISTRY_READ) is None:
        raise Denied("The registry has not been read yet. Try again in a minute.")


def _insert_place(actor: Actor, place: Place, owner: User | None) -> None:
    try:
        with writing() as session:
            parent = _lock_parent(session, place.path)
            require_free(session, place.path)
            place.parent_id = parent.id if parent else None
            session.add(place)
            session.flush()
            if owner is not None and parent is None:
                session.add(Membership(user_id=owner.id, place_id=place.id, role=Role.OWNER))
            record(session, actor, f"{place.kind}.create", place.path, visibility=place.visibility)
    except IntegrityError:
        raise Conflict(
            "The path is taken.", {"name": f"“{place.path}” is taken. Choose another name."}
        ) from None


def _lock_parent(session: Session, path: str) -> Place | None:
    parent_path = PlacePath(path).parent
    if parent_path is None:
        return None
    parent = session.scalar(select(Place).where(Place.path == parent_path).with_for_update())
    if parent is None:
        raise NotFound(f"There is no namespace “{parent_path}”.", hint="Create it first.")
    if parent.kind == "project":
        raise Conflict(
            f"“{parent_path}” is a project.",
            {"parent": "A project holds images, no namespaces and no projects."},
        )
    return parent


def change_settings(
    actor: Actor, path: str, description: str, visibility: str | None = None
) -> Place:
    """Change the description of a place and, for a project, its visibility.

    Args:
        actor: the requester, for the audit log.
        path: the path of the place.
        description: the new description.
        visibility: the new visibility; None to keep it. It is ignored for a namespace.

    Raises:
        NotFound: there is no such place.
        Invalid: the description is too long, or there is no such visibility.
    """
    with writing() as session:
        place = _lock_place(session, path)
        before = {"description": place.description, "visibility": place.visibility}
        place.description = validate_description(description)
        if isinstance(place, Project) and visibility is not None:
            place.visibility = validate_visibility(visibility)
        after = {"description": place.description, "visibility": place.visibility}
        changes = {key: [before[key], after[key]] for key in after if before[key] != after[key]}
        if changes:
            record(session, actor, f"{place.kind}.settings", place.path, **changes)
        return place


def add_member(actor: Actor, path: str, username: str, role: Role) -> None:
    """Give a user a role in a namespace or project.

    Raises:
        NotFound: there is no such place.
        Invalid: there is no such user.
        Conflict: the user is already a direct member.
    """
    with writing() as session:
        place = _lock_place(session, path)
        user = session.scalar(select(User).where(User.username == username.strip().lower()))
        if user is None:
            message = f"There is no user “{username[:100]}”."
            raise Invalid("The member was not added.", {"username": message})
        if _find_membership(session, place, user.username) is not None:
            message = f"{user.username} is a member already. Change the role in the list."
            raise Conflict("The member was not added.", {"username": message})
        session.add(Membership(user_id=user.id, place_id=place.id, role=int(role)))
        record(session, actor, "member.add", path, user=user.username, role=role.label)


def change_member(
    actor: Actor, path: str, username: str, role: Role | None, *, may_leave_no_owner: bool = False
) -> bool:
    """Change the role of a direct member, or remove the member.

    Args:
        actor: the requester, for the audit log.
        path: the path of the place.
        username: the member.
        role: the new role, or None to remove the member.
        may_leave_no_owner: whether the last Owner can be removed or demoted, which leaves a place
            that only administrators can manage.

    Returns:
        Whether the place still has a direct or inherited Owner.

    Raises:
        NotFound: there is no such place or direct member.
        Conflict: the member is the last Owner.
    """
    with writing() as session:
        place = _lock_place(session, path)
        membership = _find_membership(session, place, username)
        if membership is None:
            raise NotFound(f"{username[:100]} is no direct member here.")
        old_role = Role(membership.role)
        has_owner = role is Role.OWNER or _has_other_owner(session, membership, path)
        if old_role is Role.OWNER and not has_owner and not may_leave_no_owner:
            raise Conflict(
                f"{username} is the last Owner of {path}.",
                hint="Make someone else an Owner first.",
            )
        if role is None:
            session.delete(membership)
            record(session, actor, "member.remove", path, user=username, role=old_role.label)
        elif role != old_role:
            membership.role = int(role)
            roles = [old_role.label, role.label]
            record(session, actor, "member.change", path, user=username, role=roles)
        return has_owner


def remove_namespace(actor: Actor, path: str) -> None:
    """Delete an empty namespace.

    Raises:
        NotFound: there is no such namespace.
        Conflict: the namespace is not empty or is personal, or clients can still pull from an old
            path that a move has left.
    """
    with writing() as session:
        place = _lock_place(session, path)
        if not isinstance(place, Namespace):
            raise NotFound
        require_not_personal(place)
        if (obstacle := find_old_path_conflict(session, path, path)) is not None:
            raise obstacle
        if session.scalar(select(Place.id).where(Place.parent_id == place.id).limit(1)):
            raise Conflict(
                "The namespace is not empty.", hint="Delete its projects and namespaces first."
            )
        session.delete(place)
        record(session, actor, "namespace.delete.done", path)


def require_not_personal(place: Place) -> None:
    """Raise Conflict if the place is a personal namespace."""
    if is_personal(place):
        raise Conflict(PERSONAL_NAMESPACE)


def is_personal(place: Place) -> bool:
    """Return whether a place is a personal namespace."""
    return isinstance(place, Namespace) and place.is_personal


def _lock_place(session: Session, path: str) -> Place:
    place = session.scalar(select(Place).where(Place.path == path).with_for_update())
    if place is None:
        raise NotFound
    return place


def _has_other_owner(session: Session, membership: Membership, path: str) -> bool:
    """Return whether the place at ``path`` has a direct or inherited Owner besides this member."""
    by_role, personal = managed_places(Place, Place.path.in_(prefixes(path)))
    others = by_role.where(Membership.id != membership.id)
    return session.scalar(others.union_all(personal).limit(1)) is not None


def places_without_manager(session: Session, username: str) -> list[str]:
    """Return the paths of places that this user owns and that have no unblocked Owner.

    After a user is blocked, these are the places that only administrators can still manage. At most
    MAX_LISTED_PLACES paths are returned.
    """
    ancestor = aliased(Place)
    is_ancestor = (ancestor.path == Place.path) | (
        func.substr(Place.path, 1, func.length(ancestor.path) + 1) == ancestor.path + "/"
    )
    owner = aliased(User)
    query = (
        select(Place.path)
        .join(Membership, Membership.place_id == Place.id)
        .join(owner, owner.id == Membership.user_id)
        .where(owner.username == username, Membership.role == int(Role.OWNER))
        .where(
            *(
                ~has_manager.correlate(Place).exists()
                for has_manager in managed_places(ancestor, is_ancestor)
            )
        )
        .order_by(Place.path)
        .limit(MAX_LISTED_PLACES)
    )
    return list(session.scalars(query))


def _find_membership(session: Session, place: Place, username: str) -> Membership | None:
    return session.scalar(
        select(Membership)
        .join(User, User.id == Membership.user_id)
        .where(Membership.place_id == place.id, User.username == username)
    )
