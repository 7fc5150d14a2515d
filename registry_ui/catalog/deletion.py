"""Removal: one planner for the preview and for the deed, whoever asks for it.

A plan is a list of steps, each small and safe to repeat. A step looks again just
before it acts, and leaves alone what has changed since the preview.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable

from sqlalchemy import Select, select

from ..access import Right, Role, below, guard
from ..access.protection import refusal, releases
from ..distribution.errors import (
    DeletionByTagUnsupported,
    DeletionDisabled,
    RegistryError,
    RegistryNotFound,
)
from ..errors import NotFound, RegistryTrouble
from ..extensions import db, release
from ..models import BinnedTag, ContainerImage, Place, Project, Tag
from ..names import RepositoryName, TagName, is_binned
from .connection import registry
from .facts import facts_of, gather, known
from .live_tags import digests_of
from .ordering import version_key
from .parts import Parts, parts_of
from .plans import PlannedTag, RemovalPlan
from .pull_through import refuse_deletion
from .reach import Reach, closure, reach
from .tag_table import refresh
from .tags import subject_of

#: Of an image with more tags, only those that go are asked what they stand for.
ASKED = 500
#: So many tags are named in a note.
NAMED = 10
#: Seconds that a preview waits for what manifests consist of.
PLAN_DEADLINE = 10.0
UNTOLD = "Of these it is not known since when they stand for what they do, so they stay: {}."
UNREAD = "Not every manifest of {} could be read: its tags go, and its manifests stay."


def plan_tag(
    image: ContainerImage,
    name: TagName,
    *,
    attached: bool = False,
    bin_days: int = 0,
    role: Role | None = None,
) -> RemovalPlan:
    """Plan the removal of one tag, and of nothing else.

    Args:
        role: of whoever asks; protection rules let nobody without one delete a protected tag.
        bin_days: for how many days it can be restored; 0 for good.

    Raises:
        NotFound: the registry has no such tag.
        RegistryTrouble: the registry can't be asked, so nothing can be promised.
    """
    if is_binned(str(name)):
        raise NotFound("The registry has no such tag.")
    refuse_deletion()
    repository = RepositoryName(image.path)
    found = gather(repository, {str(name): None}, fresh=True)
    problem = found.problems.get(str(name))
    if problem is not None:
        raise translate(problem)
    plan = RemovalPlan("tag", f"{image.path}:{name}", [], bin_days=bin_days)
    plan.method = deletion_method(repository)
    _add_image(plan, image, {str(name)}, role, attached=attached)
    for row in known([found.digests[str(name)]]).values():
        plan.platforms = [child.platform for child in facts_of(row).platforms]
    return plan


def plan_tags(
    kind: str,
    target: str,
    chosen: Iterable[tuple[ContainerImage, Collection[str]]],
    *,
    attached: bool,
    bin_days: int = 0,
    role: Role | None = None,
) -> RemovalPlan:
    """Plan the removal of some tags of some images, and of nothing else.

    Args:
        role: of whoever asks, for protection rules.
        chosen: images, and the names of the tags that go. What is gone already is left out.
        attached: signatures and the like go with what they are attached to.
        bin_days: for how many days they can be restored; 0 for good.

    Raises:
        RegistryTrouble: the registry can't be asked, so nothing can be promised.
    """
    plan = RemovalPlan(kind, target, [], method="none", bin_days=bin_days)
    for image, names in chosen:
        if plan.method == "none":
            plan.method = deletion_method(RepositoryName(image.path))
        _add_image(plan, image, set(names), role, attached=attached)
    return plan


def _add_image(
    plan: RemovalPlan, image: ContainerImage, names: set[str], role: Role | None, *, attached: bool
) -> None:
    """Add what the removal of some tags of one image does."""
    tags, rows = _standing(image, names)
    if plan.kind == "retention":
        names = _as_known(plan, image, names & tags.keys(), tags, rows)
    parts = parts_of(RepositoryName(image.path), set(tags.values()), PLAN_DEADLINE)
    asked = names & tags.keys()
    removed = _allowed(plan, image.path, asked, role) - _signatures(plan, image, asked, tags, parts)
    referrers = _referrers(tags, removed, parts)
    plan.referrers += referrers
    if attached and referrers:
        plan.attached_goes = True
        removed |= _allowed(plan, image.path, referrers, role)
    outcome = reach(tags, removed, parts.children, parts.named)
    _add_steps(plan, image, tags, removed, outcome, parts)
    plan.name(
        [_planned(image.path, name, rows.get(name)) for name in sorted(removed, key=version_key)]
    )
    gone = {tags[name] for name in removed}
    stays = (n for n, d in tags.items() if d in gone and n not in removed and not is_binned(n))
    plan.name_kept(sorted(stays, key=version_key))


def _as_known(
    plan: RemovalPlan,
    image: ContainerImage,
    names: Collection[str],
    tags: dict[str, str],
    rows: dict[str, Tag],
) -> set[str]:
    """Return those tags that stand for what the index knows; note which do not.

    A policy chose them by the age that the index knows: of what stands for something else
    by now, it is the age of another image.
    """
    untold = {name for name in names if name not in rows or rows[name].digest != tags[name]}
    if untold:
        named = [f"{image.path}:{name}" for name in sorted(untold, key=version_key)]
        more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
        plan.notes.append(UNTOLD.format(", ".join(named[:NAMED]) + more))
    return set(names) - untold


def _allowed(
    plan: RemovalPlan, repository: str, names: Collection[str], role: Role | None
) -> set[str]:
    """Return the tags that no protection rule keeps; note why the others stay."""
    found = guard(db.session(), repository)
    if not found.rules:
        return set(names)
    refused = {
        name: why
        for name in names
        # What the bin holds was deleted before, when the rules were asked.
        if not is_binned(name)
        and (why := refusal(found.rules, found.image_name, name, role, Right.DELETE, exists=True))
    }
    plan.refused += [(f"{repository}:{name}", why) for name, why in sorted(refused.items())]
    return set(names) - refused.keys()


def _signatures(
    plan: RemovalPlan,
    image: ContainerImage,
    names: Collection[str],
    tags: dict[str, str],
    parts: Parts,
) -> set[str]:
    """Return the tags that sign or describe what an immutable tag needs; note that they stay."""
    signing = {name: subject for name in names if (subject := subject_of(name))}
    if not signing:
        return set()
    found = guard(db.session(), image.path)
    immutable = releases(found.rules, found.image_name, tags, Right.DELETE)
    kept = {digest: tag for tag in immutable for digest in closure([tags[tag]], parts.named)}
    stay = {name: kept[subject] for name, subject in signing.items() if subject in kept}
    plan.refused += [
        (f"{image.path}:{name}", f"tag {name} belongs to {tag}, which is immutable in {image.path}")
        for name, tag in sorted(stay.items())
        if (f"{image.path}:{name}") not in dict(plan.refused)
    ]
    return set(stay)


def _add_steps(
    plan: RemovalPlan,
    image: ContainerImage,
    tags: dict[str, str],
    removed: set[str],
    outcome: Reach,
    parts: Parts,
) -> None:
    more = {"days": plan.bin_days} if plan.bin_days else {}
    plan.steps += [
        {"do": "tag", "repository": image.path, "tag": name, "digest": tags[name], **more}
        for name in sorted(removed)
    ]
    _add_manifests(plan, image.path, tags, removed, outcome, parts)


def _add_manifests(
    plan: RemovalPlan,
    repository: str,
    tags: dict[str, str],
    removed: set[str],
    outcome: Reach,
    parts: Parts,
) -> None:
    plan.shared += len(outcome.shared)
    if parts.unknown:
        plan.notes.append(UNREAD.format(repository))
    elif outcome.doomed:
        if not plan.bin_days:
            plan.steps.append(
                {"do": "manifests", "repository": repository, "digests": list(outcome.doomed)}
            )
        plan.manifests += len(outcome.doomed)
        plan.freed = (plan.freed or 0) + _freed(tags, removed, outcome, parts)


def _freed(tags: dict[str, str], removed: set[str], outcome: Reach, parts: Parts) -> int:
    """Return the bytes that only doomed manifests hold, as far as this repository knows."""
    # Blobs are among what manifests name.
    held = set(closure((d for tag, d in tags.items() if tag not in removed), parts.named))
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
    _refresh(image)
    query = select(Tag).where(Tag.image_id == image.id)
    rows = {tag.name: tag for tag in db.session.scalars(query)}
    asked = rows.keys() if len(rows) <= ASKED else rows.keys() & set(names)
    asked |= {name for name, tag in rows.items() if tag.digest is None}
    tags = {name: tag.digest for name, tag in rows.items() if tag.digest and name not in asked}
    # What the bin holds keeps its manifests alive.
    tags |= dict(db.session.execute(_binned(image.path)).all())
    release()
    try:
        return tags | digests_of(RepositoryName(image.path), sorted(asked)), rows
    except RegistryError as error:
        raise translate(error) from None


def _refresh(image: ContainerImage) -> None:
    error, _ = refresh(image)
    if error is not None:
        raise _silent(error)


def _binned(repository: str) -> Select[tuple[str, str]]:
    return select(BinnedTag.bin_tag, BinnedTag.digest).where(BinnedTag.repository == repository)


def _planned(repository: str, name: str, row: Tag | None) -> PlannedTag:
    reference = f"{repository}:{name}"
    if row is None:
        return PlannedTag(reference)
    return PlannedTag(reference, row.pushed_at, row.pushed_by, row.last_pulled_at)


def translate(error: RegistryError) -> Exception:
    """Return the error for the caller that fits the registry's."""
    if isinstance(error, RegistryNotFound):
        return NotFound("The registry has no such tag.")
    return _silent(error)


def _silent(error: object) -> RegistryTrouble:
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
    refuse_deletion()
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


def plan_namespace(path: str, *, role: Role | None = None) -> RemovalPlan:
    """Plan the removal of a namespace with all that lies below it; no steps where that is nothing.

    Raises:
        RegistryTrouble: there is something, and the registry can't be asked.
    """
    query = select(Place).where(below(Place.path, path)).order_by(Place.path)
    inner = list(db.session.scalars(query))
    if not inner:
        return RemovalPlan("namespace", path, [], method="none")
    projects = [place for place in inner if isinstance(place, Project)]
    repositories = [name for project in projects for name in _repositories(project)]
    plan = _plan_whole("namespace", path, repositories, role, with_bin=True)
    plan.steps += [{"do": "project", "repository": project.path} for project in projects]
    groups = [path, *(place.path for place in inner if place.kind == "namespace")]
    # What lies deepest goes first.
    plan.steps += [
        {"do": "namespace", "repository": group} for group in sorted(groups, reverse=True)
    ]
    plan.notes.insert(0, _with_places(len(projects), len(groups) - 1))
    return plan


def _with_places(projects: int, namespaces: int) -> str:
    count = f"{projects} project{'' if projects == 1 else 's'}"
    if namespaces:
        count += f" and {namespaces} namespace{'' if namespaces == 1 else 's'}"
    return f"With it go {count} below it, and all their images."


def plan_image(
    image: ContainerImage, *, bin_days: int = 0, role: Role | None = None
) -> RemovalPlan:
    """Plan the removal of all tags and manifests of one repository.

    Args:
        bin_days: for how many days its tags can be restored; 0 for good.

    Raises:
        RegistryTrouble: the registry can't be asked.
    """
    if not bin_days:
        return _plan_whole("image", image.path, [image.path], role)
    _refresh(image)  # the index learns what there is
    names = set(db.session.scalars(select(Tag.name).where(Tag.image_id == image.id)))
    plan = plan_tags(
        "image", image.path, [(image, names)], attached=True, bin_days=bin_days, role=role
    )
    plan.notes.append("Tags that are pushed after this preview stay.")
    return plan


def plan_purge(target: str, entries: Iterable[BinnedTag]) -> RemovalPlan:
    """Plan to remove tags of the bin for good, with the manifests that only they need.

    Raises:
        RegistryTrouble: the registry can't be asked.
    """
    plan = RemovalPlan("bin", target, [], method="none")
    by_repository: dict[str, list[BinnedTag]] = defaultdict(list)
    for entry in entries:
        by_repository[entry.repository].append(entry)
    for path, rows in sorted(by_repository.items()):
        repository = RepositoryName(path)
        kept = dict(db.session.execute(_binned(path)).all())
        plan.method = deletion_method(repository)
        tags = kept | _live_digests(repository)
        removed = {row.bin_tag for row in rows}
        plan.steps += [
            {"do": "purge", "repository": path, "tag": row.bin_tag, "digest": row.digest}
            for row in rows
        ]
        parts = parts_of(repository, set(tags.values()), PLAN_DEADLINE)
        outcome = reach(tags, removed, parts.children, parts.named)
        _add_manifests(plan, path, tags, removed, outcome, parts)
        plan.name([PlannedTag(f"{path}:{row.tag}", row.pushed_at, row.pushed_by) for row in rows])
    return plan


def plan_project(project: Project, *, role: Role | None = None) -> RemovalPlan:
    """Plan the removal of a project with all its images.

    Raises:
        RegistryTrouble: the registry can't be asked.
    """
    plan = _plan_whole("project", project.path, _repositories(project), role, with_bin=True)
    plan.steps.append({"do": "project", "repository": project.path})
    plan.notes.insert(0, "The project goes when the registry has let go of all its images.")
    return plan


def _repositories(project: Project) -> list[str]:
    """Return the repositories of a project, those of which only the bin has something too."""
    images = select(ContainerImage.path).where(ContainerImage.project_id == project.id)
    binned = select(BinnedTag.repository).where(BinnedTag.project_id == project.id)
    return sorted(db.session.scalars(images.union(binned)))


def _plan_whole(
    kind: str,
    target: str,
    repositories: list[str],
    role: Role | None,
    *,
    with_bin: bool = False,
) -> RemovalPlan:
    plan = RemovalPlan(
        kind, target, [], method="digest", notes=["Tags that are pushed after this preview stay."]
    )
    if repositories:
        deletion_method(RepositoryName(repositories[0]))
    if with_bin:
        plan.notes.append("Nothing of this can be restored. What the bin holds goes too.")
    query = (
        select(ContainerImage.path, Tag)
        .join(Tag, Tag.image_id == ContainerImage.id)
        .where(ContainerImage.path.in_(repositories))
    )
    rows = {(path, tag.name): tag for path, tag in db.session.execute(query)}
    for path in repositories:
        # What each tag stands for now: one that moves before the deed is kept.
        tags = _live_digests(RepositoryName(path))
        wanted = [name for name in tags if with_bin or not is_binned(name)]
        planned = {name: tags[name] for name in sorted(_allowed(plan, path, wanted, role))}
        plan.steps.append({"do": "image", "repository": path, "tags": planned})
        visible = sorted((n for n in planned if not is_binned(n)), key=version_key)
        plan.name([_planned(path, name, rows.get((path, name))) for name in visible])
    return plan


def _live_digests(repository: RepositoryName) -> dict[str, str]:
    """Return the registry's tags, the bin's too, and what each stands for at this moment."""
    release()
    try:
        return digests_of(repository, registry().tags(repository))
    except RegistryNotFound:
        return {}
    except RegistryError as error:
        raise translate(error) from None
