"""Load the objects that a request names, and check the caller's permissions.

A place is a namespace or a project. An access token can be restricted to a path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from flask import g
from sqlalchemy import select

from ..access import (
    REMOVAL_PERMISSIONS,
    PathAccess,
    Permission,
    Principal,
    Role,
    can_see,
    decide,
    path_access,
    permissions,
    role_for_rules,
)
from ..db.session import db
from ..errors import Denied, Invalid, NotFound
from ..models import ContainerImage, Copy, Move, Namespace, Place, Project, Removal
from ..names import NameInvalid, RepositoryName
from .identity import principal, registry_host

NO_PROJECT = "There is no such project, or you may not see it."


@dataclass(frozen=True, slots=True)
class ResolvedPlace:
    """A place (namespace or project) that the caller can see, with their permissions there.

    ``can`` contains the permissions that the caller has. Templates can test for a permission by its
    name, because ``Permission`` is a ``StrEnum``.
    """

    place: Place
    path_access: PathAccess
    can: frozenset[Permission]

    @property
    def role(self) -> str | None:
        """Label of the caller's role in the place; None if the caller has no role there."""
        return self.path_access.role.label if self.path_access.role else None

    @property
    def acting_role(self) -> Role | None:
        """The caller's role for protection rules; an administrator counts as an Owner."""
        return role_for_rules(principal(), self.path_access)

    @property
    def project(self) -> Project:
        """The place as a project; raises NotFound if it is a namespace."""
        if not isinstance(self.place, Project):
            raise NotFound
        return self.place

    @property
    def namespace(self) -> Namespace:
        """The place as a namespace; raises NotFound if it is a project."""
        if not isinstance(self.place, Namespace):
            raise NotFound
        return self.place


def load(path: str, permission: Permission = Permission.SEE) -> ResolvedPlace:
    """Resolve the path of a namespace or project and check that the caller has a permission.

    All views load namespaces and projects with this function, so no view can skip the check.

    Raises:
        NotFound: there is no such place, or the caller can't see it. The response is the same.
        Denied: the caller can see the place, but does not have the permission.
    """
    caller = principal()
    access = path_access(db.session(), caller, path)
    if not can_see(db.session(), caller, access):
        raise NotFound
    decision = decide(caller, access, permission)
    if permission is not Permission.SEE and not decision.allowed:
        raise Denied(f"Not allowed: {decision.rule}.", hint=_choose_hint(caller))
    if access.freeze is not None and decide(caller, access, Permission.PUSH).allowed:
        g.freeze = access.freeze  # Every page of the place shows the write freeze.
    place = db.session.get_one(Place, access.place_id)
    return ResolvedPlace(place, access, permissions(caller, access))


def load_whole(path: str, permission: Permission) -> ResolvedPlace:
    """Load a namespace or project for an operation on all of its content.

    The permission is checked as in load().

    Raises:
        NotFound: as for load(), or the caller's token is restricted to a part of the place.
        Denied: as for load().
    """
    loaded = load(path, permission)
    restriction = principal().restriction
    if restriction is not None and (restriction.exact or not restriction.covers(path)):
        raise NotFound
    return loaded


def load_owner(repository: str) -> ResolvedPlace:
    """Load the project that owns a repository, given the full name of the repository.

    Raises:
        NotFound: no project owns the repository, or the caller can't see that project.
    """
    caller = principal()
    access = path_access(db.session(), caller, repository)
    # Timing side channel: run no more queries for a hidden project than for a missing one.
    if access.project is None or not decide(caller, access, Permission.SEE).allowed:
        raise NotFound
    return load(access.project)


def load_image(
    path: str, name: str, permission: Permission = Permission.SEE
) -> tuple[ResolvedPlace, ContainerImage]:
    """Load a project and one of its images, and check that the caller has a permission.

    Args:
        path: path of the project.
        name: name of the image below the project; empty for the root image.

    Raises:
        NotFound: as for load() and image_in().
        Denied: as for load().
    """
    loaded = load(path, permission)
    return loaded, image_in(loaded, name)


def image_in(loaded: ResolvedPlace, name: str) -> ContainerImage:
    """Return an image of a project that has been loaded.

    Args:
        loaded: the project.
        name: name of the image below the project; empty for the root image.

    Raises:
        NotFound: the database has no such image, or the caller's token is restricted to a path
            that does not include the image.
    """
    path = loaded.place.path
    _require_covered([f"{path}/{name}" if name else path])
    key = {"project_id": loaded.project.id, "name": name}
    image = db.session.scalar(select(ContainerImage).filter_by(**key, emptied_at=None))
    if image is None:
        raise NotFound
    return image


def load_removal(path: str, removal_id: int) -> tuple[Removal, ResolvedPlace | None]:
    """Return a removal, and its namespace or project (None if that no longer exists).

    Args:
        path: path of the namespace or project.
        removal_id: the ID of the removal.

    Raises:
        NotFound: there is no such removal at this path, or the caller can't see it.
        Denied: the caller can see the place, but does not have the permission to delete there.
    """
    row = db.session.scalar(
        select(Removal).where(Removal.id == removal_id, Removal.project_path == path)
    )
    caller = principal()
    if row is None or not _is_covered(_iterate_repositories(row)):
        raise _make_not_found(path)
    if row.project_id is not None:
        loaded = load(path, Permission.DELETE)
        if loaded.place.id != row.project_id:
            raise NotFound  # The removal belongs to an earlier place at this path.
        return row, loaded
    if row.requested_by != caller.username and not caller.is_admin:
        raise _make_not_found(path)
    return row, None


def load_planned(path: str, removal_id: int) -> tuple[Removal, ResolvedPlace]:
    """Return a removal that the caller is allowed to start, and its namespace or project.

    Raises:
        NotFound: as for load_removal(), or the namespace or project no longer exists.
        Denied: the caller can see the place, but does not have the permission for the removal.
    """
    row, loaded = load_removal(path, removal_id)
    if loaded is None:
        raise NotFound
    if row.kind in REMOVAL_PERMISSIONS:
        loaded = load_whole(path, REMOVAL_PERMISSIONS[row.kind])
    return row, loaded


def _require_covered(repositories: Iterable[str]) -> None:
    """Raise NotFound unless the caller's token is valid for all of the repositories.

    A token restricted to exactly the path of a project is valid only for the project's root image.
    """
    if not _is_covered(repositories):
        raise NotFound


def _is_covered(repositories: Iterable[str]) -> bool:
    """Return whether the caller's path restriction, if any, includes all of the repositories."""
    restriction = principal().restriction
    return restriction is None or all(map(restriction.covers, repositories))


def _iterate_repositories(row: Removal) -> Iterator[str]:
    """Yield the repositories of a removal: first its target, then the repositories in its plan.

    The plan is loaded from the database only if the iteration continues after the target.
    """
    yield row.target.partition(":")[0]
    for step in row.plan:
        yield step.repository


def _make_not_found(path: str) -> NotFound:
    """Return a NotFound error for a missing object, after the same queries as for a hidden one.

    So neither the response nor its duration reveals whether an object with the requested ID exists.
    """
    with suppress(NotFound):
        load(path)
    return NotFound()


def load_move(path: str, move_id: int) -> tuple[Move, ResolvedPlace]:
    """Return a move and the namespace or project at a path, if the move belongs to it.

    A move belongs to the namespace or project that moves. The move of an image belongs to the
    project that the image leaves and, after the switchover, to the new project of the image.

    Raises:
        NotFound: there is no such move at this path, or the caller can't see it.
        Denied: the caller can see the place, but can't configure it.
    """
    loaded = load(path, Permission.CONFIGURE)
    move = db.session.get(Move, move_id)
    if move is None:
        raise NotFound
    places = {move.place_id, move.new_project_id if move.switched_at else None}
    if loaded.place.id not in places:
        raise NotFound
    restriction = principal().restriction
    if restriction is not None and not any(map(restriction.covers, (move.source, move.target))):
        raise NotFound  # The caller's token is restricted to a different path.
    return move, loaded


def load_copy_target(text: str) -> Project:
    """Return the project that the caller entered as the target of a copy.

    Args:
        text: path of the project, with or without the host of the registry.

    Raises:
        Invalid: there is no such project, or the caller can't see it or push to it. The message is
            for the form field "project".
    """
    path = text.strip().removeprefix(f"{registry_host()}/").strip("/")
    try:
        return load(str(RepositoryName(path)), Permission.PUSH).project
    except (NameInvalid, NotFound):
        message = NO_PROJECT if path else "Say which project."
        raise Invalid("Nothing was planned.", {"project": message}) from None
    except Denied as error:
        raise Invalid("Nothing was planned.", {"project": error.message}) from None


def load_copy(path: str, copy_id: int) -> tuple[Copy, Project | None]:
    """Return a copy, and its target project (None if the project no longer exists).

    Args:
        path: path of the target project.
        copy_id: the ID of the copy.

    Raises:
        NotFound: there is no such copy, the caller's token does not include both repositories, or
            the caller can't see the project. For a caller who is neither the requester nor an
            administrator, also if they can't pull from the source, or the project is gone.
        Denied: the caller can see the project, but can't push to it.
    """
    row = db.session.scalar(select(Copy).where(Copy.id == copy_id, Copy.project_path == path))
    if row is None or not _is_covered([row.source, row.target]):
        raise _make_not_found(path)
    caller = principal()
    is_requester_or_admin = caller.is_admin or row.requested_by == caller.username
    if row.project_id is None:
        if is_requester_or_admin:
            return row, None
        raise _make_not_found(path)
    project = load(path, Permission.PUSH).project
    if project.id != row.project_id:
        raise NotFound  # The copy belongs to an earlier project at this path.
    if (
        not is_requester_or_admin
        and not decide(
            caller, path_access(db.session(), caller, row.source), Permission.PULL
        ).allowed
    ):
        raise NotFound
    return row, project


def _choose_hint(caller: Principal) -> str:
    return (
        "Sign in with an account that may." if caller.is_anonymous else "Ask an owner for the role."
    )
