"""The one loader: resolves what a request names, and checks what the caller may do with it."""

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
    """A place that the caller may see, and what they may do there."""

    place: Place
    path_access: PathAccess
    can: set[str]

    @property
    def role(self) -> str | None:
        """The caller's own role, in words."""
        return self.path_access.role.label if self.path_access.role else None

    @property
    def acting_role(self) -> Role | None:
        """The role as protection rules count it: an administrator is an Owner everywhere."""
        return role_for_rules(principal(), self.path_access)

    @property
    def project(self) -> Project:
        """The place, which must be a project; NotFound otherwise."""
        if not isinstance(self.place, Project):
            raise NotFound
        return self.place

    @property
    def namespace(self) -> Namespace:
        """The place, which must be a namespace; NotFound otherwise."""
        if not isinstance(self.place, Namespace):
            raise NotFound
        return self.place


def load(path: str, right: Permission = Permission.SEE) -> ResolvedPlace:
    """Resolve a path for the caller and check a right: the one door to every place.

    Raises:
        NotFound: there is no such place, or the caller may not see it: no difference.
        Denied: they may see it, but have not the right.
    """
    who = principal()
    here = path_access(db.session(), who, path)
    if not can_see(db.session(), who, here):
        raise NotFound
    decision = decide(who, here, right)
    if right is not Permission.SEE and not decision.allowed:
        raise Denied(f"Not allowed: {decision.rule}.", hint=_hint(who))
    if here.fence is not None and decide(who, here, Permission.PUSH).allowed:
        g.fence = here.fence  # told on the page, whatever it is about
    place = db.session.get_one(Place, here.place_id)
    return ResolvedPlace(place, here, permissions(who, here))


def load_whole(path: str, right: Permission) -> ResolvedPlace:
    """Resolve a place for what is about everything in it; else as load().

    Raises:
        NotFound: also where the caller's token is for one repository of it alone.
    """
    loaded = load(path, right)
    reach = principal().reach
    if reach is not None and (reach.exact or not reach.covers(path)):
        raise NotFound
    return loaded


def load_owner(repository: str) -> ResolvedPlace:
    """Resolve the project that owns the whole name of an image, as clients write it.

    Raises:
        NotFound: no project owns it, or the caller may not see that project.
    """
    who = principal()
    here = path_access(db.session(), who, repository)
    # Of a hidden project nothing more is asked than of none: it must not take longer.
    if here.project is None or not decide(who, here, Permission.SEE).allowed:
        raise NotFound
    return load(here.project)


def load_image(
    path: str, name: str, right: Permission = Permission.SEE
) -> tuple[ResolvedPlace, ContainerImage]:
    """Resolve a project and one of its images; NotFound where the index has no such image."""
    loaded = load(path, right)
    return loaded, image_in(loaded, name)


def image_in(loaded: ResolvedPlace, name: str) -> ContainerImage:
    """Return an image of a project that was loaded; NotFound where the index has none."""
    path = loaded.place.path
    _require_reach([f"{path}/{name}" if name else path])
    key = {"project_id": loaded.project.id, "name": name}
    image = db.session.scalar(select(ContainerImage).filter_by(**key, emptied_at=None))
    if image is None:
        raise NotFound
    return image


def load_removal(path: str, removal_id: int) -> tuple[Removal, ResolvedPlace | None]:
    """Return a removal and the place that it is of, loaded, or None where that is gone.

    Raises:
        NotFound: there is none, or it is not the caller's business.
        Denied: they may see the place, but not delete in it.
    """
    row = db.session.scalar(
        select(Removal).where(Removal.id == removal_id, Removal.project_path == path)
    )
    who = principal()
    if row is None or not _reaches(_repositories_of(row)):
        raise _absent(path)
    if row.project_id is not None:
        loaded = load(path, Permission.DELETE)
        if loaded.place.id != row.project_id:
            raise NotFound  # of an earlier place at this path
        return row, loaded
    if row.requested_by != who.username and not who.is_admin:
        raise _absent(path)
    return row, None


def load_planned(path: str, removal_id: int) -> tuple[Removal, ResolvedPlace]:
    """Return a removal that somebody confirms, and its place: they may do what it does.

    Raises:
        NotFound, Denied: as load_removal(), and where the place is gone.
    """
    row, loaded = load_removal(path, removal_id)
    if loaded is None:
        raise NotFound
    if row.kind in REMOVAL_PERMISSIONS:
        loaded = load_whole(path, REMOVAL_PERMISSIONS[row.kind])
    return row, loaded


def _require_reach(repositories: Iterable[str]) -> None:
    """Hide what a bound token does not reach: one for a project's path alone opens its root image.

    Raises NotFound.
    """
    if not _reaches(repositories):
        raise NotFound


def _reaches(repositories: Iterable[str]) -> bool:
    """Whether the caller's token, if it is bound, covers all of these."""
    reach = principal().reach
    return reach is None or all(map(reach.covers, repositories))


def _repositories_of(row: Removal) -> Iterator[str]:
    """Yield the repositories that a removal is about; its plan is read only if it is needed."""
    yield row.target.partition(":")[0]
    for step in row.plan:
        yield step.repository


def _absent(path: str) -> NotFound:
    """Return the error for what is not at a path, after the work of what is hidden there.

    A stranger learns from neither the answer nor its price whether a number is taken.
    """
    with suppress(NotFound):
        load(path)
    return NotFound()


def load_move(path: str, move_id: int) -> tuple[Move, ResolvedPlace]:
    """Return a move and the place that it is looked at from, for those who look after that.

    That is what moves; of an image, the project that it leaves, and once it is there, the one
    that it went to.

    Raises:
        NotFound: there is none, or it is not of this place.
        Denied: they may see the place, but do not look after it.
    """
    loaded = load(path, Permission.CONFIGURE)
    move = db.session.get(Move, move_id)
    if move is None:
        raise NotFound
    places = {move.place_id, move.new_project_id if move.switched_at else None}
    if loaded.place.id not in places:
        raise NotFound
    reach = principal().reach
    if reach is not None and not any(map(reach.covers, (move.source, move.target))):
        raise NotFound  # of another image than the token is for
    return move, loaded


def load_copy_target(text: str) -> Project:
    """Return the project that a caller names as the target of a copy, with or without the host.

    Raises:
        Invalid: there is none, or the caller can't see it or push there; of the field "project".
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
    """Return a copy and the project that it copies to, or None where that is gone.

    Raises:
        NotFound: there is none, or it is not the caller's business: they see not both ends, or
            their token does not reach them.
        Denied: they may see the project, but not push there.
    """
    row = db.session.scalar(select(Copy).where(Copy.id == copy_id, Copy.project_path == path))
    if row is None or not _reaches([row.source, row.target]):
        raise _absent(path)
    who = principal()
    own = who.is_admin or row.requested_by == who.username
    if row.project_id is None:
        if own:
            return row, None
        raise _absent(path)
    project = load(path, Permission.PUSH).project
    if project.id != row.project_id:
        raise NotFound  # of an earlier project at this path
    if (
        not own
        and not decide(who, path_access(db.session(), who, row.source), Permission.PULL).allowed
    ):
        raise NotFound
    return row, project


def _hint(who: Principal) -> str:
    return "Sign in with an account that may." if who.is_anonymous else "Ask an owner for the role."
