"""Removal: one planner for the preview and for the deed.

A plan is a list of steps, each small and safe to repeat. A step looks again just
before it acts, and leaves alone what has changed since the preview.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access import below
from ..access.lookup import prefixes
from ..audit import Actor, record
from ..distribution.errors import (
    DeletionByTagUnsupported,
    DeletionDisabled,
    RegistryError,
    RegistryNotFound,
)
from ..errors import Clash, NotFound, RegistryTrouble
from ..extensions import db, release, writing
from ..models import ContainerImage, Project, Removal, Tag
from ..names import Digest, RepositoryName, TagName
from .connection import registry
from .facts import Gathered, facts_of, gather, known
from .reconcile import digests_of
from .tag_table import refresh
from .tags import fold

#: So many references are named in a preview; the rest is counted.
NAMED = 50
#: For a preview of one tag, so many others are asked what they stand for.
ASKED = 500


@dataclass(slots=True)
class RemovalPlan:
    """What a removal will do, for people (the lists) and for the worker (``steps``)."""

    kind: str
    target: str
    steps: list[dict[str, Any]]
    removes: list[str]
    removes_more: int = 0
    keeps: list[str] = field(default_factory=list)
    referrers: list[str] = field(default_factory=list)
    platforms: list[str] = field(default_factory=list)
    method: str = "unknown"
    notes: list[str] = field(default_factory=list)
    digest: str | None = None


def plan_tag(image: ContainerImage, name: TagName) -> RemovalPlan:
    """Plan the removal of one tag, and of nothing else.

    Raises:
        NotFound: the registry has no such tag.
        RegistryTrouble: the registry can't be asked, so nothing can be promised.
    """
    repository = RepositoryName(image.path)
    found = gather(repository, {str(name): None}, fresh=True)
    digest = _digest(found, str(name))
    refresh(image)
    tags = list(db.session.scalars(select(Tag).where(Tag.image_id == image.id)))
    stands_for = {tag.name: tag.digest for tag in tags}
    if len(tags) <= ASKED:
        stands_for |= _live_digests(image)
    keeps = sorted(n for n, d in stands_for.items() if d == digest and n != str(name))
    folded, _ = fold(tags)
    row = known([digest]).get(digest)
    children = facts_of(row).children if row else ()
    plan = RemovalPlan(
        kind="tag",
        target=f"{image.path}:{name}",
        steps=[{"do": "tag", "repository": image.path, "tag": str(name), "digest": digest}],
        removes=[f"{image.path}:{name}"],
        keeps=keeps,
        referrers=sorted(folded.get(digest, [])),
        platforms=[child.platform for child in children if not child.is_attestation],
        method=deletion_method(RepositoryName(image.path)),
        digest=digest,
    )
    if plan.referrers:
        plan.notes.append("Signatures and attestations are tags of their own, and stay.")
    return plan


def _digest(found: Gathered, name: str) -> str:
    problem = found.problems.get(name)
    if problem is not None:
        raise translate(problem)
    return found.digests[name]


def translate(error: RegistryError) -> Exception:
    """Return the error for the caller that fits the registry's."""
    if isinstance(error, RegistryNotFound):
        return NotFound("The registry has no such tag.")
    return RegistryTrouble(
        f"The registry could not be asked: {error}.", hint="Nothing was changed. Try again later."
    )


def deletion_method(repository: RepositoryName) -> str:
    """Find out how this registry deletes a tag: ``tag`` (3.x) or ``placeholder`` (2.8).

    Asks it to delete a tag that can't be there: 3.x does not find it, 2.8 takes no
    tags. OPTIONS would tell nothing (PROTOCOLS 4.3).

    Raises:
        RegistryTrouble: deletion is switched off, or the registry can't be asked.
    """
    absent = TagName(f"_registry_ui_{secrets.token_hex(16)}")
    release()
    try:
        registry().delete_manifest(repository, absent)
    except RegistryNotFound:
        return "tag"
    except DeletionByTagUnsupported:
        return "placeholder"
    except DeletionDisabled:
        raise RegistryTrouble(
            "Deletion is switched off in the registry.",
            hint="Set storage.delete.enabled: true in its configuration and restart it.",
        ) from None
    except RegistryError as error:
        raise translate(error) from None
    return "tag"


def plan_namespace(path: str) -> RemovalPlan:
    """Plan the removal of an empty namespace: nothing of it is in the registry."""
    return RemovalPlan("namespace", path, [], [], method="none")


def plan_image(image: ContainerImage) -> RemovalPlan:
    """Plan the removal of all tags and manifests of one repository.

    Raises:
        RegistryTrouble: the registry can't be asked.
    """
    return _plan("image", image.path, [image])


def plan_project(project: Project) -> RemovalPlan:
    """Plan the removal of a project with all its images.

    Raises:
        RegistryTrouble: the registry can't be asked.
    """
    query = (
        select(ContainerImage)
        .where(ContainerImage.project_id == project.id)
        .order_by(ContainerImage.path)
    )
    plan = _plan("project", project.path, list(db.session.scalars(query)))
    plan.steps.append({"do": "project", "repository": project.path})
    plan.notes.insert(0, "The project goes when the registry has let go of all its images.")
    return plan


def _plan(kind: str, target: str, images: list[ContainerImage]) -> RemovalPlan:
    steps: list[dict[str, Any]] = []
    removes: list[str] = []
    if images:
        deletion_method(RepositoryName(images[0].path))
    for image in images:
        # What each tag stands for now: one that moves before the deed is kept.
        planned = _live_digests(image)
        names = list(planned)
        steps.append({"do": "image", "repository": image.path, "tags": planned})
        removes += [f"{image.path}:{name}" for name in names]
    return RemovalPlan(
        kind=kind,
        target=target,
        steps=steps,
        removes=removes[:NAMED],
        removes_more=max(0, len(removes) - NAMED),
        method="digest",
        notes=["Tags that are pushed after this preview stay."],
        digest=_fingerprint(steps),
    )


def _fingerprint(steps: list[dict[str, Any]]) -> str:
    """Name a plan by its content, so that the deed is the one that was previewed."""
    return str(Digest.of(json.dumps(steps, sort_keys=True).encode()))


def _live_digests(image: ContainerImage) -> dict[str, str]:
    """Return the registry's tags and what each stands for at this moment."""
    repository = RepositoryName(image.path)
    release()
    try:
        return digests_of(repository, registry().tags(repository))
    except RegistryNotFound:
        return {}
    except RegistryError as error:
        raise translate(error) from None


def start(actor: Actor, plan: RemovalPlan, project: Project) -> Removal:
    """Store a plan as a removal that waits for the worker.

    Raises:
        Clash: a removal of the same target is not finished yet.
    """
    with writing() as session:
        # One at a time for a project: the second sees the first.
        session.execute(select(Project.id).where(Project.id == project.id).with_for_update())
        if unfinished(session, plan.target):
            raise Clash("This is being deleted already.", hint="Its progress is on its page.")
        removal = Removal(
            kind=plan.kind,
            target=plan.target,
            project_id=project.id,
            project_path=project.path,
            requested_by=actor.name,
            plan=plan.steps,
            report=[],
        )
        session.add(removal)
        record(session, actor, f"{plan.kind}.delete", plan.target, tags=len(plan.removes))
        session.flush()
        return removal


def unfinished(session: Session, target: str) -> Removal | None:
    """Return a removal that waits or runs, of ``target``, of what holds it, or of a part of it."""
    image, colon, _ = target.partition(":")
    holders = prefixes(image) + ([target] if colon else [])
    parts = below(Removal.target, target) | Removal.target.startswith(target + ":", autoescape=True)
    return session.scalar(
        select(Removal)
        .where(
            Removal.state.in_(["waiting", "running"]),
            Removal.target.in_(holders) | parts,
        )
        .limit(1)
    )
