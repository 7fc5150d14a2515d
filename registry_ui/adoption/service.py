"""Adopt unassigned repositories in bulk: plan their projects, then create them in one step.

A place is a namespace or a project. The topmost new places are those not inside a new place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ..access import Role, Visibility, at_or_below, managed_places
from ..access.lookup import prefixes
from ..access.reserved_paths import taken_paths
from ..audit import Actor, record
from ..db.session import writing
from ..errors import Conflict, Invalid
from ..models import Membership, Namespace, Place, Project, UnassignedRepository, User
from ..names import NameInvalid, PlacePath, RepositoryName
from ..projects.service import validate_visibility

#: Maximum number of path segments that a request can choose for the project.
MAX_PARTS = 10
#: Value of AdoptionRequest.parts that makes each whole repository name the path of a project.
WHOLE_NAME = 0
#: Action names in the audit log.
ADOPT, CREATE, ADOPT_INTO = "registry.adopt", "project.create", "project.adopt"
#: Prefix of the kind of a personal namespace; the username of the owner follows.
PERSONAL = "personal:"

IS_NAMESPACE = (
    "“{}” is a namespace, so no project can have this path. Copy the repository below a project."
)
IS_RESERVED = (
    "“{}” is reserved, so no project can have this path. Copy the repository below a project."
)
IS_PERSONAL = (
    "“{}” is the namespace of the user {}, so no project can have this path. "
    "Copy the repository below a project."
)
IS_TAKEN = (
    "A move uses this path, or an old path lies there. Retire the old path, "
    "or copy the repository below a project."
)


@dataclass(frozen=True, slots=True)
class AdoptionRequest:
    """The repositories to adopt, and how their names are mapped to projects.

    Attributes:
        below: adopt the repositories at and below this path; empty for all repositories.
        parts: number of leading path segments that become the project path. The whole name is used
            if it has fewer segments, or for WHOLE_NAME.
        visibility: visibility of new projects.
        owner: username of the user who becomes Owner of new places that inherit no Owner; empty to
            add no Owner.
    """

    below: str = ""
    parts: int = WHOLE_NAME
    visibility: str = Visibility.PRIVATE
    owner: str = ""

    @classmethod
    def parse(cls, below: str, parts: str, visibility: str, owner: str = "") -> AdoptionRequest:
        """Return the request for the fields of a form; raise Invalid if a field is not valid."""
        below = below.strip().strip("/").removesuffix("/**").removesuffix("/*")
        try:
            path = str(RepositoryName(below)) if below else ""
        except NameInvalid as error:
            raise Invalid("Nothing was planned.", {"below": str(error)}) from None
        if parts not in map(str, range(MAX_PARTS + 1)):
            message = f"Choose a number of parts from 1 to {MAX_PARTS}, or the whole name."
            raise Invalid("Nothing was planned.", {"parts": message})
        return cls(path, int(parts), validate_visibility(visibility), owner.strip().lower()[:255])


@dataclass(slots=True)
class PlannedProject:
    """A project and the repositories it will own; ``exists`` is False for a project to create."""

    path: str
    exists: bool = False
    repositories: list[str] = field(default_factory=list)

    @property
    def is_repository(self) -> bool:
        """Whether the project gets a repository with its own path and others below it."""
        return len(self.repositories) > 1 and self.path in self.repositories


@dataclass(frozen=True, slots=True)
class PathConflict:
    """A repository that no project can own, with the reason as a sentence for users."""

    repository: str
    reason: str


@dataclass(slots=True)
class AdoptionPlan:
    """The namespaces and projects that an adoption creates, and the repositories they get.

    Attributes:
        request: the request that was planned.
        namespaces: paths of new namespaces, parents first.
        owned: paths of topmost new places that inherit no Owner; the requested user becomes Owner.
        ownerless: the same paths if no user was requested; then ``owned`` is empty.
        projects: the projects that get repositories, both new and existing ones.
        conflicts: repositories that no project can own, so they stay unassigned.
    """

    request: AdoptionRequest
    namespaces: list[str] = field(default_factory=list)
    owned: list[str] = field(default_factory=list)
    ownerless: list[str] = field(default_factory=list)
    projects: list[PlannedProject] = field(default_factory=list)
    conflicts: list[PathConflict] = field(default_factory=list)

    @property
    def new_projects(self) -> list[PlannedProject]:
        """The projects that are created."""
        return [project for project in self.projects if not project.exists]

    @property
    def repositories(self) -> int:
        """Number of repositories that are adopted."""
        return sum(len(project.repositories) for project in self.projects)

    @property
    def digest(self) -> str:
        """SHA-256 of the plan in hex; a confirmation is valid only for the plan that was shown."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def plan_adoption(session: Session, request: AdoptionRequest) -> AdoptionPlan:
    """Plan a project for each requested repository that no project owns yet.

    The number of queries is constant.

    Raises:
        Invalid: the requested owner does not exist or is blocked.
    """
    _require_user(session, request.owner)
    query = select(UnassignedRepository.path).order_by(UnassignedRepository.path)
    if request.below:
        query = query.where(at_or_below(UnassignedRepository.path, request.below))
    names = list(session.scalars(query))
    kinds = _load_kinds(session)
    plan = AdoptionPlan(request)
    projects: dict[str, PlannedProject] = {}
    reserved = taken_paths(session, {project_path(name, request.parts) for name in names})
    for name in names:
        project = next((projects[path] for path in prefixes(name) if path in projects), None)
        if project is None:
            owning_project = next(
                (path for path in prefixes(name) if kinds.get(path) == "project"), None
            )
            path = owning_project or project_path(name, request.parts)
            reason = None if owning_project else _find_conflict(path, kinds, reserved)
            if reason:
                plan.conflicts.append(PathConflict(name, reason))
                continue
            project = projects[path] = PlannedProject(path, exists=owning_project is not None)
        project.repositories.append(name)
    plan.projects = list(projects.values())
    plan.namespaces = _find_new_namespaces(plan.new_projects, kinds)
    ownerless = _find_ownerless(session, _find_topmost(plan))
    plan.owned, plan.ownerless = (ownerless, []) if request.owner else ([], ownerless)
    return plan


def project_path(name: str, parts: int) -> str:
    """Return the first ``parts`` segments of a repository name; the whole name for WHOLE_NAME."""
    return name if parts == WHOLE_NAME else "/".join(name.split("/")[:parts])


def _find_conflict(path: str, kinds: dict[str, str], reserved: set[str]) -> str | None:
    try:
        PlacePath(path)
    except NameInvalid:  # A valid repository name is rejected only for a reserved first segment.
        return IS_RESERVED.format(path.partition("/")[0])
    kind = kinds.get(path)
    if kind == "namespace":
        return IS_NAMESPACE.format(path)
    if kind is not None:
        return IS_PERSONAL.format(path, kind.removeprefix(PERSONAL))
    return IS_TAKEN if path in reserved else None


def _load_kinds(session: Session) -> dict[str, str]:
    """Return the kind of each place by path: PERSONAL and the username for a personal namespace."""
    query = select(Place.path, Place.kind, User.username).outerjoin(User, User.id == Place.owner_id)
    return {
        path: kind if username is None else PERSONAL + username
        for path, kind, username in session.execute(query)
    }


def _require_user(session: Session, username: str) -> None:
    if not username:
        return
    query = select(User.is_blocked).where(User.username == username)
    blocked = session.scalar(query)
    if blocked is None or blocked:
        state = "is blocked" if blocked else "does not exist"
        message = f"The user “{username[:100]}” {state}. Choose another, or leave it empty."
        raise Invalid("Nothing was planned.", {"owner": message})


def _find_topmost(plan: AdoptionPlan) -> list[str]:
    """Return the paths of the new places that are not inside a new namespace."""
    new_paths = {*plan.namespaces, *(project.path for project in plan.new_projects)}
    return sorted(path for path in new_paths if new_paths.isdisjoint(prefixes(path)[:-1]))


def _find_ownerless(session: Session, paths: Collection[str]) -> list[str]:
    """Return those paths of new places that inherit no Owner from an existing namespace."""
    ancestors = {ancestor for path in paths for ancestor in prefixes(path)[:-1]}
    if not ancestors:
        return list(paths)
    by_role, personal = managed_places(Place, Place.path.in_(ancestors))
    paths_with_owner = set(session.scalars(by_role.union_all(personal)))
    return [path for path in paths if paths_with_owner.isdisjoint(prefixes(path))]


def _find_new_namespaces(projects: Iterable[PlannedProject], kinds: dict[str, str]) -> list[str]:
    """Return the paths of the namespaces to create for the projects, parents first."""
    ancestors = {path for project in projects for path in prefixes(project.path)[:-1]}
    return sorted(ancestors - kinds.keys())


def adopt(actor: Actor, request: AdoptionRequest, digest: str) -> tuple[AdoptionPlan, int]:
    """Carry out a plan in one transaction, unless it has changed since the preview.

    Args:
        actor: the user who confirms the plan.
        request: the request that was planned.
        digest: the digest of the plan that was shown.

    Returns:
        The plan, and the ID of its audit entry, which identifies its report.

    Raises:
        Conflict: the plan differs from the one that was shown, there is nothing to adopt, or a path
            was created at the same moment.
    """
    try:
        with writing() as session:
            plan = plan_adoption(session, request)
            if plan.digest != digest:
                raise Conflict("The registry has changed since the preview. Look again.")
            if not plan.projects:
                raise Conflict("Nothing can be adopted.")
            return plan, _create_places(session, actor, plan)
    except IntegrityError:
        raise Conflict("Someone created one of the paths just now. Look again.") from None


def _create_places(session: Session, actor: Actor, plan: AdoptionPlan) -> int:
    adoption = _record_adoption(session, actor, plan)
    ids: dict[str | None, int | None] = {None: None}
    ids |= dict(session.execute(select(Namespace.path, Namespace.id)).all())
    for path in plan.namespaces:
        namespace = Namespace(path=path, parent_id=ids[PlacePath(path).parent])
        session.add(namespace)
        session.flush()
        ids[path] = namespace.id
        record(session, actor, "namespace.create", path, visibility=None, adoption=adoption)
    visibility = plan.request.visibility
    for project in plan.projects:
        count = len(project.repositories)
        if project.exists:
            record(session, actor, ADOPT_INTO, project.path, repositories=count, adoption=adoption)
            continue
        parent = ids[PlacePath(project.path).parent]
        session.add(Project(path=project.path, parent_id=parent, visibility=visibility))
        record(
            session,
            actor,
            CREATE,
            project.path,
            visibility=visibility,
            repositories=count,
            adoption=adoption,
        )
    _add_owner(session, actor, plan)
    return adoption


def _record_adoption(session: Session, actor: Actor, plan: AdoptionPlan) -> int:
    entry = record(
        session,
        actor,
        ADOPT,
        plan.request.below or "*",
        repositories=plan.repositories,
        projects=len(plan.new_projects),
        existing_projects=len(plan.projects) - len(plan.new_projects),
        namespaces=len(plan.namespaces),
        conflicts=len(plan.conflicts),
        visibility=plan.request.visibility,
        owner=plan.request.owner,
    )
    session.flush()
    return entry.id


def _add_owner(session: Session, actor: Actor, plan: AdoptionPlan) -> None:
    if not plan.owned:
        return
    name = plan.request.owner
    session.flush()
    user_id = session.scalars(select(User.id).where(User.username == name)).one()
    query = select(Place.id, Place.path).where(Place.path.in_(plan.owned)).order_by(Place.path)
    for place_id, path in session.execute(query).all():
        session.add(Membership(user_id=user_id, place_id=place_id, role=int(Role.OWNER)))
        record(session, actor, "member.add", path, user=name, role=Role.OWNER.label)
