"""Removal planner, used by every kind of removal for both the preview and the execution.

A plan is a list of small steps that are safe to repeat. A step checks the current state just before
it acts, and skips tags that have changed since the preview.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import select

from ..access import Role, below
from ..catalog.live_tags import LiveTags, read_tags
from ..catalog.pull_through import refuse_deletion
from ..db.session import db
from ..distribution.errors import RegistryError
from ..enumerations import name_first, name_some
from ..errors import NotFound, RegistryUnreachable
from ..manifests.graph import graph_of
from ..manifests.store import ensure_fetched, facts_of, stored_manifests
from ..models import BinnedTag, ContainerImage, Place, Project, RemovalStep, Tag
from ..names import RepositoryName, TagName, is_binned, subject_of
from ..tags.image_tags import ImageTags, all_tags, refresh, tags_of_image
from ..tags.version_sort import version_key
from .allowed_tags import allowed, allowed_unreadable
from .deletion_method import deletion_method, translate
from .plan import PlannedTag, RemovalPlan
from .planned_manifests import (
    add_damaged_note,
    add_manifests,
    add_unanswered_note,
    kept_signatures,
    record_subjects,
    referrers_of,
)
from .unread_images import UnreadImages

#: Timeout in seconds for reading the manifests of one image while a removal is planned.
PLAN_DEADLINE = 10.0
UNTOLD = "Of these it is not known since when they stand for what they do, so they stay: {}."
NOT_KEPT = (
    "The bin can't keep tags that can't be read: {}. They are deleted permanently, and can't be "
    "restored."
)
NO_ANSWER = "The registry does not answer for {} now: {}."


def plan_tag(
    image: ContainerImage,
    name: TagName,
    *,
    attached: bool = False,
    bin_days: int = 0,
    role: Role | None = None,
    despite_rules: bool = False,
) -> RemovalPlan:
    """Plan the removal of a single tag.

    Args:
        attached: also remove signatures and attestations of the image.
        bin_days: number of days that the tag can be restored; 0 to delete it permanently.
        role: role of the user who asks. Without one, no protected tag can be deleted.
        despite_rules: if the tag is damaged, remove it even if it is immutable.

    Raises:
        NotFound: the registry has no such tag.
        RegistryUnreachable: the registry can't be asked, so nothing can be planned.
    """
    if is_binned(str(name)):
        raise NotFound("The registry has no such tag.")
    refuse_deletion()
    repository = RepositoryName(image.path)
    live = _read_tag(repository, name)
    ensure_fetched(repository, live.digests)
    # The trash keeps manifests, and a tag that can't be read has none to keep.
    days = 0 if live.damaged else bin_days
    plan = RemovalPlan(
        "tag", f"{image.path}:{name}", [], bin_days=days, despite_rules=despite_rules
    )
    plan.method = deletion_method(repository)
    _add_or_raise(UnreadImages(plan), image, {str(name)}, role, attached=attached)
    for row in stored_manifests(live.digests.values()).values():
        plan.platforms = [child.platform for child in facts_of(row).platforms]
    return plan


def _read_tag(repository: RepositoryName, name: TagName) -> LiveTags:
    """Return a tag that the registry lists, whether or not it can be read.

    Raises:
        NotFound: the registry has no such tag.
        RegistryUnreachable: the registry can't be asked, or does not answer for this tag.
    """
    try:
        live = read_tags(repository, [str(name)])
    except RegistryError as error:
        raise translate(error) from None
    if live.unanswered:
        message = NO_ANSWER.format(name, live.unanswered[str(name)])
        raise RegistryUnreachable(message, hint="Nothing was changed. Try again later.")
    if not live.digests and not live.damaged:
        raise NotFound("The registry has no such tag.")
    return live


def plan_tags(
    kind: str,
    target: str,
    chosen: Iterable[tuple[ContainerImage, Collection[str]]],
    *,
    attached: bool,
    bin_days: int = 0,
    role: Role | None = None,
) -> RemovalPlan:
    """Plan the removal of some tags of some images.

    Args:
        chosen: images, each with the names of the tags to remove. Tags that no longer exist are
            ignored.
        attached: also remove signatures and attestations of the removed images.
        bin_days: number of days that the tags can be restored; 0 to delete them permanently.
        role: role of the user who asks, for the protection rules.

    Raises:
        RegistryUnreachable: the registry can't be asked, so nothing can be planned.
    """
    return add_tags(
        RemovalPlan(kind, target, [], method="none", bin_days=bin_days),
        chosen,
        role,
        attached=attached,
    )


def add_tags(
    plan: RemovalPlan,
    chosen: Iterable[tuple[ContainerImage, Collection[str]]],
    role: Role | None,
    *,
    attached: bool,
) -> RemovalPlan:
    """Add the removal of some tags to a plan, as plan_tags() does, and return the plan."""
    unread = UnreadImages(plan)
    for image, names in chosen:
        if plan.method == "none":
            plan.method = deletion_method(RepositoryName(image.path))
        _add_or_raise(unread, image, set(names), role, attached=attached)
    return plan


def _add_or_raise(
    unread: UnreadImages,
    image: ContainerImage,
    names: set[str],
    role: Role | None,
    *,
    attached: bool,
) -> None:
    """Add the tags of one image; only a retention plan continues without an image it can't list.

    Raises:
        NotFound, RegistryUnreachable: the tags can't be listed.
    """
    try:
        _add_image(unread.plan, image, names, role, attached=attached)
    except RegistryError as error:
        if unread.plan.kind != "retention":
            raise translate(error) from None
        unread.add(image.path, error)


def _add_image(
    plan: RemovalPlan, image: ContainerImage, names: set[str], role: Role | None, *, attached: bool
) -> None:
    """Add the removal of some tags of one image to a plan, with its effects on manifests."""
    found = tags_of_image(image, names)
    if plan.kind == "retention":
        names = _as_known(plan, image, names & found.tags.keys(), found.tags, found.rows)
    unreadable = allowed_unreadable(plan, image.path, names & found.unreadable, role)
    # A damaged tag is removed with its last known manifest, unless another tag needs that.
    tags = found.tags | found.last_known(unreadable)
    parts = graph_of(RepositoryName(image.path), set(tags.values()), PLAN_DEADLINE)
    asked = names & found.tags.keys()
    removed = allowed(plan, image.path, asked, role) - kept_signatures(
        plan, image, asked, tags, parts
    )
    referrers = referrers_of(tags, removed | unreadable & tags.keys(), parts)
    plan.referrers += referrers
    if attached and referrers:
        plan.attached_goes = True
        removed |= allowed(plan, image.path, referrers, role)
    subjects = record_subjects(tags, removed | unreadable, asked, parts)
    _add_steps(plan, image, tags, (removed, unreadable), subjects)
    damaged = found.damaged - unreadable
    add_damaged_note(plan, image.path, damaged, found.faulty - unreadable if removed else set())
    add_unanswered_note(plan, image.path, found.unanswered)
    going = removed | unreadable
    stay = bool(damaged or found.unanswered)
    add_manifests(plan, image.path, tags, going, parts, stay=stay)
    plan.name([_planned(image.path, n, found.rows.get(n)) for n in sorted(going, key=version_key)])
    gone = {tags[name] for name in removed}
    stays = (n for n, d in tags.items() if d in gone and n not in going and not is_binned(n))
    plan.name_kept(sorted(stays, key=version_key))


def _as_known(
    plan: RemovalPlan,
    image: ContainerImage,
    names: Collection[str],
    tags: dict[str, str],
    rows: dict[str, Tag],
) -> set[str]:
    """Return the tags that still have the digest in the index; note the others in the plan.

    A retention policy chose the tags by their age in the index. If a tag points to another image
    now, that age is wrong.
    """
    untold = {name for name in names if name not in rows or rows[name].digest != tags[name]}
    if untold:
        named = [f"{image.path}:{name}" for name in sorted(untold, key=version_key)]
        plan.notes.append(UNTOLD.format(name_first(named)))
    return set(names) - untold


def _add_unreadable(plan: RemovalPlan, path: str, unreadable: Collection[str]) -> None:
    """Add the removal of damaged tags, which can't be restored."""
    if not unreadable:
        return
    plan.notes.append(NOT_KEPT.format(name_some(unreadable)))
    despite = {
        ref.rpartition(":")[2]: rule for ref, rule in plan.despite if ref.startswith(f"{path}:")
    }
    plan.steps.append(
        RemovalStep("unreadable", path, tags=sorted(unreadable), despite=despite or None)
    )


def _add_steps(
    plan: RemovalPlan,
    image: ContainerImage,
    tags: dict[str, str],
    going: tuple[set[str], set[str]],
    subjects: dict[str, str],
) -> None:
    removed, unreadable = going
    # Damaged tags come first: 2.8 can't delete any tag while it fails to read another one's link.
    _add_unreadable(plan, image.path, unreadable)
    plan.steps += [
        RemovalStep(
            "tag",
            image.path,
            name,
            tags[name],
            days=plan.bin_days,
            subject=subjects.get(name, ""),
        )
        # Signatures come last, because their steps check which of their subjects were deleted.
        for name in sorted(removed, key=lambda name: (subject_of(name) is not None, name))
    ]


def _planned(repository: str, name: str, row: Tag | None) -> PlannedTag:
    reference = f"{repository}:{name}"
    if row is None:
        return PlannedTag(reference)
    return PlannedTag(reference, row.pushed_at, row.pushed_by, row.last_pulled_at)


def plan_namespace(path: str, *, role: Role | None = None) -> RemovalPlan:
    """Plan the removal of a namespace with everything below it; no steps if it is empty.

    Raises:
        RegistryUnreachable: it is not empty, and the registry can't be asked.
    """
    query = select(Place).where(below(Place.path, path)).order_by(Place.path)
    inner = list(db.session.scalars(query))
    if not inner:
        return RemovalPlan("namespace", path, [], method="none")
    projects = [place for place in inner if isinstance(place, Project)]
    repositories = [name for project in projects for name in _repositories(project)]
    plan = _plan_whole("namespace", path, repositories, role, with_bin=True)
    plan.steps += [RemovalStep("project", repository=project.path) for project in projects]
    groups = [path, *(place.path for place in inner if place.kind == "namespace")]
    # Delete the deepest namespaces first, because only an empty namespace can be deleted.
    plan.steps += [
        RemovalStep("namespace", repository=group) for group in sorted(groups, reverse=True)
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
        bin_days: number of days that its tags can be restored; 0 to delete them permanently.

    Raises:
        RegistryUnreachable: the registry can't be asked.
    """
    if not bin_days:
        return _plan_whole("image", image.path, [image.path], role)
    try:
        refresh(image)  # updates the index from the registry's tag list
    except RegistryError as error:
        raise translate(error) from None
    names = set(db.session.scalars(select(Tag.name).where(Tag.image_id == image.id)))
    plan = plan_tags(
        "image", image.path, [(image, names)], attached=True, bin_days=bin_days, role=role
    )
    plan.notes.append("Tags that are pushed after this preview stay.")
    return plan


def plan_project(project: Project, *, role: Role | None = None) -> RemovalPlan:
    """Plan the removal of a project with all its images.

    Raises:
        RegistryUnreachable: the registry can't be asked.
    """
    plan = _plan_whole("project", project.path, _repositories(project), role, with_bin=True)
    plan.steps.append(RemovalStep("project", repository=project.path))
    plan.notes.insert(0, "The project goes when the registry has let go of all its images.")
    return plan


def _repositories(project: Project) -> list[str]:
    """Return the repositories of a project, including those that have tags only in the trash."""
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
    unread = UnreadImages(plan)
    for path in repositories:
        try:
            found = all_tags(path)
        except RegistryError as error:
            unread.add(path, error)
            continue
        _add_whole(plan, path, found, role, with_bin=with_bin)
    return plan


def _add_whole(
    plan: RemovalPlan, path: str, found: ImageTags, role: Role | None, *, with_bin: bool
) -> None:
    """Add all tags of one repository to a plan.

    Usually one step deletes all their manifests. If a tag can't be read and stays, the other tags
    are deleted one by one instead.
    """
    # Record the current digest of each tag, so that a tag that is pushed later is kept.
    names = {name for name in found.tags if with_bin or not is_binned(name)}
    planned = {name: found.tags[name] for name in sorted(allowed(plan, path, names, role))}
    unreadable = allowed_unreadable(
        plan, path, {n for n in found.unreadable if with_bin or not is_binned(n)}, role
    )
    _add_unreadable(plan, path, unreadable)
    damaged = found.damaged - unreadable
    add_damaged_note(plan, path, damaged, found.faulty - unreadable)
    add_unanswered_note(plan, path, found.unanswered)
    if damaged or found.unanswered:
        plan.steps += [
            RemovalStep("tag", repository=path, tag=name, digest=digest)
            for name, digest in planned.items()
        ]
    else:
        plan.steps.append(RemovalStep("image", repository=path, tags=planned))
    going = (n for n in {*planned, *unreadable} if not is_binned(n))
    plan.name([_planned(path, n, found.rows.get(n)) for n in sorted(going, key=version_key)])
