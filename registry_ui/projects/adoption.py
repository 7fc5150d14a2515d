"""Adopt unassigned repositories in bulk: plan which project each gets, then create them at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ..access import Visibility, at_or_below
from ..access.lookup import prefixes
from ..audit import Actor, record
from ..catalog.moving.names import taken_among
from ..errors import Clash, Invalid
from ..extensions import writing
from ..models import Namespace, Place, Project, UnassignedRepository
from ..names import NameInvalid, Path, RepositoryName
from .service import checked_visibility

#: Maximum number of parts of a project's path that a request can ask for.
MAX_PARTS = 10
#: The choice that gives each repository a project of its own.
WHOLE_NAME = 0

IS_NAMESPACE = (
    "“{}” is a namespace. A project can't have the same path: move the namespace, or copy this "
    "repository to another name."
)
IS_TAKEN = "A move uses this path, or a former name lies there."


@dataclass(frozen=True, slots=True)
class AdoptionRequest:
    """Which repositories to adopt, and how many parts of their names become the project.

    ``below`` is a path: what lies at and below it. "" is every repository. ``parts`` is the
    number of parts of a project's path; a shorter name becomes a project as a whole.
    """

    below: str = ""
    parts: int = WHOLE_NAME
    visibility: str = Visibility.PRIVATE

    @classmethod
    def parse(cls, below: str, parts: str, visibility: str) -> AdoptionRequest:
        """Read what a person entered; raise Invalid for what can't be used."""
        below = below.strip().strip("/").removesuffix("/**").removesuffix("/*")
        try:
            path = str(RepositoryName(below)) if below else ""
        except NameInvalid as error:
            raise Invalid("Nothing was planned.", {"below": str(error)}) from None
        if parts not in map(str, range(MAX_PARTS + 1)):
            message = f"Choose a number of parts from 1 to {MAX_PARTS}, or the whole name."
            raise Invalid("Nothing was planned.", {"parts": message})
        return cls(path, int(parts), checked_visibility(visibility))


@dataclass(slots=True)
class PlannedProject:
    """A project, and the repositories that it will own. ``exists`` if it need not be created."""

    path: str
    exists: bool = False
    repositories: list[str] = field(default_factory=list)

    @property
    def is_repository(self) -> bool:
        """Whether a repository has the path of the project itself, beside others below it."""
        return len(self.repositories) > 1 and self.path in self.repositories


@dataclass(frozen=True, slots=True)
class Conflict:
    """A repository that no project can own, and why."""

    repository: str
    reason: str


@dataclass(slots=True)
class AdoptionPlan:
    """What an adoption creates. Repositories with a conflict stay unassigned."""

    request: AdoptionRequest
    namespaces: list[str] = field(default_factory=list)
    projects: list[PlannedProject] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)

    @property
    def new_projects(self) -> list[PlannedProject]:
        """The projects that are created."""
        return [project for project in self.projects if not project.exists]

    @property
    def repositories(self) -> int:
        """How many repositories are adopted."""
        return sum(len(project.repositories) for project in self.projects)

    @property
    def digest(self) -> str:
        """A digest of all of it: a confirmation is good for what was shown, and nothing else."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def plan_adoption(session: Session, request: AdoptionRequest) -> AdoptionPlan:
    """Plan which project each unassigned repository gets. A constant number of queries."""
    query = select(UnassignedRepository.path).order_by(UnassignedRepository.path)
    if request.below:
        query = query.where(at_or_below(UnassignedRepository.path, request.below))
    names = list(session.scalars(query))
    kinds = dict(session.execute(select(Place.path, Place.kind)).all())
    plan = AdoptionPlan(request)
    planned: dict[str, PlannedProject] = {}
    taken = taken_among(session, {project_path(name, request.parts) for name in names})
    for name in names:
        project = next((planned[path] for path in prefixes(name) if path in planned), None)
        if project is None:
            owner = next((path for path in prefixes(name) if kinds.get(path) == "project"), None)
            path = owner or project_path(name, request.parts)
            reason = None if owner else _conflict(path, kinds, taken)
            if reason:
                plan.conflicts.append(Conflict(name, reason))
                continue
            project = planned[path] = PlannedProject(path, exists=owner is not None)
        project.repositories.append(name)
    plan.projects = list(planned.values())
    plan.namespaces = _new_namespaces(plan.new_projects, kinds)
    return plan


def project_path(name: str, parts: int) -> str:
    """Return the first parts of a repository's name, or all of it."""
    return name if parts == WHOLE_NAME else "/".join(name.split("/")[:parts])


def _conflict(path: str, kinds: dict[str, str], taken: set[str]) -> str | None:
    try:
        Path(path)
    except NameInvalid as error:
        return str(error)
    if kinds.get(path) == "namespace":
        return IS_NAMESPACE.format(path)
    return IS_TAKEN if path in taken else None


def _new_namespaces(projects: Iterable[PlannedProject], kinds: dict[str, str]) -> list[str]:
    """Return the namespaces that the projects need, each after the one that holds it."""
    needed = {path for project in projects for path in prefixes(project.path)[:-1]}
    return sorted(needed - kinds.keys())


def adopt(actor: Actor, request: AdoptionRequest, digest: str) -> AdoptionPlan:
    """Create what a plan says, in one transaction, if it is still what was shown.

    Raises:
        Clash: something has changed since the preview, or nothing can be adopted.
    """
    try:
        with writing() as session:
            plan = plan_adoption(session, request)
            if plan.digest != digest:
                raise Clash("The registry has changed since the preview. Look again.")
            if not plan.projects:
                raise Clash("Nothing can be adopted.")
            _create(session, actor, plan)
            return plan
    except IntegrityError:
        raise Clash("Someone created one of the paths just now. Look again.") from None


def _create(session: Session, actor: Actor, plan: AdoptionPlan) -> None:
    existing = session.execute(select(Namespace.path, Namespace.id)).all()
    ids: dict[str | None, int | None] = {None: None, **dict(existing)}
    for path in plan.namespaces:
        namespace = Namespace(path=path, parent_id=ids[Path(path).parent])
        session.add(namespace)
        session.flush()
        ids[path] = namespace.id
        record(session, actor, "namespace.create", path, visibility=None)
    visibility = plan.request.visibility
    for planned in plan.new_projects:
        parent = ids[Path(planned.path).parent]
        session.add(Project(path=planned.path, parent_id=parent, visibility=visibility))
        record(session, actor, "project.create", planned.path, visibility=visibility)
    record(
        session,
        actor,
        "registry.adopt",
        plan.request.below or "*",
        repositories=plan.repositories,
        projects=len(plan.new_projects),
        namespaces=len(plan.namespaces),
        conflicts=len(plan.conflicts),
    )
