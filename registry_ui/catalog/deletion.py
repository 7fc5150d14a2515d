"""Removal: one planner for the preview and for the deed, whoever asks for it.

A plan is a list of steps, each small and safe to repeat. A step looks again just
before it acts, and leaves alone what has changed since the preview.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable

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
from ..models import ContainerImage, Place, Project, Removal, Tag
from ..names import RepositoryName, TagName
from .connection import registry
from .facts import facts_of, gather, known
from .parts import Parts, parts_of
from .plans import PlannedTag, RemovalPlan
from .reach import Reach, closure, reach
from .reconcile import digests_of
from .tags import refresh, subject_of

#: Of an image with more tags, only those that go are asked what they stand for.
ASKED = 500
#: Seconds that a preview waits for what manifests consist of.
PLAN_DEADLINE = 10.0
UNREAD = "Not every manifest of {} could be read: its tags go, and its manifests stay."

#: Says why a tag may not be deleted, by the name of its image below the project and its own;
#: None where no rule keeps it. Protection rules come in here.
Refusal = Callable[[ContainerImage, str], str | None]


def nothing_protected(_image: ContainerImage, _tag: str) -> str | None:
    """Refuse nothing: what holds where a project has no protection rules."""
    return None


def plan_tag(image: ContainerImage, name: TagName, *, attached: bool = False) -> RemovalPlan:
    """Plan the removal of one tag, and of nothing else.

    Raises:
        NotFound: the registry has no such tag.
        RegistryTrouble: the registry can't be asked, so nothing can be promised.
    """
    repository = RepositoryName(image.path)
    found = gather(repository, {str(name): None}, fresh=True)
    problem = found.problems.get(str(name))
    if problem is not None:
        raise translate(problem)
    plan = RemovalPlan("tag", f"{image.path}:{name}", [])
    plan.method = deletion_method(repository)
    _add_image(plan, image, {str(name)}, attached=attached, refuse=nothing_protected)
    row = known([found.digests[str(name)]]).get(found.digests[str(name)])
    children = facts_of(row).children if row else ()
    plan.platforms = [child.platform for child in children if not child.is_attestation]
    return plan


def plan_tags(
    kind: str,
    target: str,
    chosen: Iterable[tuple[ContainerImage, Collection[str]]],
    *,
    attached: bool,
    refuse: Refusal = nothing_protected,
) -> RemovalPlan:
    """Plan the removal of some tags of some images, and of nothing else.

    Args:
        chosen: images, and the names of the tags that go. What is gone already is left out.
        attached: signatures and the like go with what they are attached to.

    Raises:
        RegistryTrouble: the registry can't be asked, so nothing can be promised.
    """
    plan = RemovalPlan(kind, target, [], method="none")
    for image, names in chosen:
        if plan.method == "none":
            plan.method = deletion_method(RepositoryName(image.path))
        _add_image(plan, image, set(names), attached=attached, refuse=refuse)
    return plan


def _add_image(
    plan: RemovalPlan, image: ContainerImage, names: set[str], *, attached: bool, refuse: Refusal
) -> None:
    """Add what the removal of some tags of one image does."""
    tags, rows = _standing(image, names)
    removed = names & tags.keys()
    refused = {name: why for name in sorted(removed) if (why := refuse(image, name))}
    plan.refused += [(f"{image.path}:{name}", why) for name, why in refused.items()]
    removed -= refused.keys()
    parts = parts_of(RepositoryName(image.path), set(tags.values()), PLAN_DEADLINE)
    referrers = _referrers(tags, removed, parts)
    plan.referrers += referrers
    if attached and referrers:
        plan.attached_goes = True
        removed |= set(referrers)
    outcome = reach(tags, removed, parts.children, parts.named)
    _add_steps(plan, image, tags, removed, outcome, parts)
    plan.name([_planned(image, name, rows.get(name)) for name in sorted(removed)])
    gone = {tags[name] for name in removed}
    plan.name_kept(sorted(n for n, d in tags.items() if d in gone and n not in removed))


def _add_steps(
    plan: RemovalPlan,
    image: ContainerImage,
    tags: dict[str, str],
    removed: set[str],
    outcome: Reach,
    parts: Parts,
) -> None:
    plan.steps += [
        {"do": "tag", "repository": image.path, "tag": name, "digest": tags[name]}
        for name in sorted(removed)
    ]
    plan.shared += len(outcome.shared)
    if parts.unknown:
        plan.notes.append(UNREAD.format(image.path))
    elif outcome.doomed:
        plan.steps.append(
            {"do": "manifests", "repository": image.path, "digests": list(outcome.doomed)}
        )
        plan.manifests += len(outcome.doomed)
        plan.freed = (plan.freed or 0) + _freed(tags, removed, outcome, parts)


def _freed(tags: dict[str, str], removed: set[str], outcome: Reach, parts: Parts) -> int:
    """Return the bytes that only doomed manifests hold, as far as this repository knows."""
    kept = closure((d for tag, d in tags.items() if tag not in removed), parts.named)
    held = {blob for digest in kept for blob in parts.blobs.get(digest, ())}
    sizes: dict[str, int] = {}
    for digest in outcome.doomed:
        sizes |= parts.blobs.get(digest, {})
    return sum(size for blob, size in sizes.items() if blob not in held)


def _referrers(tags: dict[str, str], removed: set[str], parts: Parts) -> list[str]:
    """Return the tags that sign or describe what goes with the removed ones, at any remove."""
    found: set[str] = set()
    while True:
        doomed = set(reach(tags, removed | found, parts.children, parts.named).doomed)
        more = {name for name in tags if subject_of(name) in doomed} - removed - found
        if not more:
            return sorted(found)
        found |= more


def _standing(
    image: ContainerImage, names: Collection[str]
) -> tuple[dict[str, str], dict[str, Tag]]:
    """Return what every tag of an image stands for, and the rows of the index.

    Those that go are asked of the registry; so are all others, where they are not too many.

    Raises:
        RegistryTrouble: it can't be asked.
    """
    error, _ = refresh(image)
    if error is not None:
        raise RegistryTrouble(
            f"The registry could not be asked: {error}.",
            hint="Nothing was changed. Try again later.",
        )
    query = select(Tag).where(Tag.image_id == image.id)
    rows = {tag.name: tag for tag in db.session.scalars(query)}
    asked = rows.keys() if len(rows) <= ASKED else rows.keys() & set(names)
    asked |= {name for name, tag in rows.items() if tag.digest is None}
    tags = {name: tag.digest for name, tag in rows.items() if tag.digest and name not in asked}
    release()
    try:
        return tags | digests_of(RepositoryName(image.path), sorted(asked)), rows
    except RegistryError as error:
        raise translate(error) from None


def _planned(image: ContainerImage, name: str, row: Tag | None) -> PlannedTag:
    reference = f"{image.path}:{name}"
    if row is None:
        return PlannedTag(reference)
    return PlannedTag(reference, row.pushed_at, row.pushed_by, row.last_pulled_at)


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
    return RemovalPlan("namespace", path, [], method="none")


def plan_image(image: ContainerImage) -> RemovalPlan:
    """Plan the removal of all tags and manifests of one repository.

    Raises:
        RegistryTrouble: the registry can't be asked.
    """
    return _plan_whole("image", image.path, [image])


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
    plan = _plan_whole("project", project.path, list(db.session.scalars(query)))
    plan.steps.append({"do": "project", "repository": project.path})
    plan.notes.insert(0, "The project goes when the registry has let go of all its images.")
    return plan


def _plan_whole(kind: str, target: str, images: list[ContainerImage]) -> RemovalPlan:
    plan = RemovalPlan(
        kind, target, [], method="digest", notes=["Tags that are pushed after this preview stay."]
    )
    if images:
        deletion_method(RepositoryName(images[0].path))
    query = select(Tag).where(Tag.image_id.in_([image.id for image in images]))
    rows = {(tag.image_id, tag.name): tag for tag in db.session.scalars(query)}
    for image in images:
        # What each tag stands for now: one that moves before the deed is kept.
        tags = _live_digests(image)
        plan.steps.append({"do": "image", "repository": image.path, "tags": tags})
        plan.name([_planned(image, name, rows.get((image.id, name))) for name in tags])
    return plan


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


def start(actor: Actor, plan: RemovalPlan, place: Place) -> Removal:
    """Store a plan as a removal that waits for the worker.

    Raises:
        Clash: a removal of the same target is not finished yet.
    """
    with writing() as session:
        _lock(session, place)
        _alone(session, plan.target)
        removal = _stored(plan, place, actor)
        session.add(removal)
        _record(session, actor, removal)
        session.flush()
        return removal


def keep_plan(actor: Actor, plan: RemovalPlan, place: Place) -> Removal:
    """Store a plan that somebody will look at, and perhaps confirm."""
    with writing() as session:
        removal = _stored(plan, place, actor)
        removal.state = "planned"
        session.add(removal)
        session.flush()
        return removal


def start_planned(actor: Actor, removal_id: int, place: Place) -> Removal:
    """Let the worker carry out a stored plan: that one, and nothing else.

    Raises:
        Clash: it is no plan any more, or something of its target is being deleted.
    """
    with writing() as session:
        _lock(session, place)
        removal = session.get(Removal, removal_id, with_for_update=True, populate_existing=True)
        if removal is None or removal.state != "planned":
            raise Clash("This plan was carried out or discarded already.")
        _alone(session, removal.target)
        removal.state, removal.requested_by = "waiting", actor.name
        _record(session, actor, removal)
        return removal


def _stored(plan: RemovalPlan, place: Place, actor: Actor) -> Removal:
    return Removal(
        kind=plan.kind,
        target=plan.target,
        project_id=place.id,
        project_path=place.path,
        requested_by=actor.name,
        plan=plan.steps,
        preview=plan.preview(),
        total=len(plan.steps),
    )


def _record(session: Session, actor: Actor, removal: Removal) -> None:
    tags = len(removal.preview["removes"]) + removal.preview["removes_more"]
    record(session, actor, f"{removal.kind}.delete", removal.target, tags=tags)


def _lock(session: Session, place: Place) -> None:
    """Let one at a time begin in a place: the second sees the first."""
    session.execute(select(Place.id).where(Place.id == place.id).with_for_update())


def _alone(session: Session, target: str) -> None:
    if unfinished(session, target):
        raise Clash("This is being deleted already.", hint="Its progress is on its page.")


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
