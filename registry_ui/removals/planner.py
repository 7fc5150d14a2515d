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
from ..models import ContainerImage, Place, Project, RemovalStep, Tag, TrashedTag
from ..names import RepositoryName, TagName, is_trash_tag, subject_of
from ..registry_connection import NOTHING_CHANGED
from ..tags.image_tags import ImageTags, refresh, tags_of_image
from ..tags.version_sort import version_key
from .allowed_tags import filter_allowed, filter_allowed_unreadable
from .deletion_method import deletion_method, translate
from .plan import RemovalOptions, RemovalPlan
from .planned_manifests import (
    RepositoryContent,
    add_damaged_note,
    add_manifests,
    add_unanswered_note,
    kept_signatures,
    record_subjects,
    referrers_of,
)
from .planned_tags import planned_tags_from_names
from .unread_images import UnreadImages

#: Timeout in seconds for reading the manifests of one image while a removal is planned.
MANIFESTS_TIMEOUT = 10.0
UNKNOWN_AGE = "Of these it is not known since when they stand for what they do, so they stay: {}."
NOT_RESTORABLE = (
    "The trash can't keep tags that can't be read: {}. They are deleted permanently, and can't be "
    "restored."
)
NO_ANSWER = "The registry does not answer for {} now: {}."
DEFAULT_OPTIONS = RemovalOptions()


def plan_tag(
    image: ContainerImage, name: TagName, options: RemovalOptions = DEFAULT_OPTIONS
) -> RemovalPlan:
    """Plan the removal of a single tag.

    Raises:
        NotFound: the registry has no such tag.
        RegistryUnreachable: the registry can't be asked, so nothing can be planned.
    """
    if is_trash_tag(str(name)):
        raise NotFound("The registry has no such tag.")
    refuse_deletion()
    repository = RepositoryName(image.path)
    live = _read_tag(repository, name)
    ensure_fetched(repository, live.digests)
    # The trash keeps manifests, and a tag that can't be read has none to keep.
    plan = RemovalPlan(
        "tag",
        f"{image.path}:{name}",
        [],
        trash_days=0 if live.damaged else options.trash_days,
        despite_rules=options.despite_rules,
    )
    plan.method = deletion_method(repository)
    unread_images = UnreadImages(plan)
    _add_or_raise(unread_images, image, {str(name)}, options.role, attached=options.attached)
    for row in stored_manifests(live.digests.values()).values():
        plan.platforms = [child.platform for child in facts_of(row).platforms]
    return plan


def _read_tag(repository: RepositoryName, name: TagName) -> LiveTags:
    """Read a single tag from the registry. A listed tag that can't be read is returned as damaged.

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
        raise RegistryUnreachable(message, hint=NOTHING_CHANGED)
    if not live.digests and not live.damaged:
        raise NotFound("The registry has no such tag.")
    return live


def plan_tags(
    kind: str,
    target: str,
    tags_to_delete: Iterable[tuple[ContainerImage, Collection[str]]],
    options: RemovalOptions = DEFAULT_OPTIONS,
) -> RemovalPlan:
    """Plan the removal of some tags of one or more images.

    Args:
        kind: kind of the removal, such as ``tags`` or ``retention``.
        target: reference or path that the removal is about.
        tags_to_delete: images, each with the names of the tags to remove. Tags that no longer exist
            are ignored.
        options: options of the removal. ``despite_rules`` is ignored.

    Raises:
        RegistryUnreachable: the registry can't be asked, so nothing can be planned.
    """
    plan = RemovalPlan(kind, target, [], method="none", trash_days=options.trash_days)
    return add_tags(plan, tags_to_delete, options.role, attached=options.attached)


def add_tags(
    plan: RemovalPlan,
    tags_to_delete: Iterable[tuple[ContainerImage, Collection[str]]],
    role: Role | None,
    *,
    attached: bool,
) -> RemovalPlan:
    """Add the removal of some tags to a plan, as plan_tags() does, and return the plan."""
    unread_images = UnreadImages(plan)
    for image, names in tags_to_delete:
        if plan.method == "none":
            plan.method = deletion_method(RepositoryName(image.path))
        _add_or_raise(unread_images, image, set(names), role, attached=attached)
    return plan


def _add_or_raise(
    unread_images: UnreadImages,
    image: ContainerImage,
    names: set[str],
    role: Role | None,
    *,
    attached: bool,
) -> None:
    """Add the tags of one image to a plan; a retention plan skips an image that can't be listed.

    Raises:
        NotFound: the registry does not have the image.
        RegistryUnreachable: the tags can't be listed.
    """
    try:
        _add_image(unread_images.plan, image, names, role, attached=attached)
    except RegistryError as error:
        if unread_images.plan.kind != "retention":
            raise translate(error) from None
        unread_images.add(image.path, error)


def _add_image(
    plan: RemovalPlan, image: ContainerImage, names: set[str], role: Role | None, *, attached: bool
) -> None:
    """Add the removal of some tags of one image to a plan, with its effects on manifests."""
    image_tags = tags_of_image(image, names)
    if plan.kind == "retention":
        names = _drop_changed_tags(plan, image, names & image_tags.tags.keys(), image_tags)
    unreadable_tags = filter_allowed_unreadable(
        plan, image.path, names & image_tags.unreadable, role
    )
    # The last known manifest of a damaged tag is removed, too, unless a remaining tag needs it.
    tags = image_tags.tags | image_tags.last_known(unreadable_tags)
    graph = graph_of(RepositoryName(image.path), set(tags.values()), MANIFESTS_TIMEOUT)
    content = RepositoryContent(image.path, tags, graph)
    requested = names & image_tags.tags.keys()
    readable_tags = filter_allowed(plan, image.path, requested, role)
    readable_tags -= kept_signatures(plan, content, requested)
    referrers = referrers_of(content, readable_tags | unreadable_tags & tags.keys())
    plan.referrers += referrers
    if attached and referrers:
        plan.attached_goes = True
        readable_tags |= filter_allowed(plan, image.path, referrers, role)
    to_delete = readable_tags | unreadable_tags
    # Damaged tags come first: 2.8 can't delete any tag while it fails to read the link of one.
    _add_unreadable(plan, image.path, unreadable_tags)
    _add_tag_steps(plan, content, readable_tags, record_subjects(content, to_delete, requested))
    damaged_tags = image_tags.damaged - unreadable_tags
    faulty_tags = image_tags.faulty - unreadable_tags if readable_tags else set()
    add_damaged_note(plan, image.path, damaged_tags, faulty_tags)
    add_unanswered_note(plan, image.path, image_tags.unanswered)
    add_manifests(plan, content, to_delete, keep_all=bool(damaged_tags or image_tags.unanswered))
    plan.name(planned_tags_from_names(image.path, to_delete, image_tags))
    plan.name_kept(_list_kept_tags(tags, readable_tags, to_delete))


def _list_kept_tags(
    tags: dict[str, str], readable_tags: set[str], to_delete: set[str]
) -> list[str]:
    """Return the tags that stay and share a digest with a readable tag to delete."""
    digests = {tags[name] for name in readable_tags}
    names = (
        name
        for name, digest in tags.items()
        if digest in digests and name not in to_delete and not is_trash_tag(name)
    )
    return sorted(names, key=version_key)


def _drop_changed_tags(
    plan: RemovalPlan, image: ContainerImage, names: Collection[str], image_tags: ImageTags
) -> set[str]:
    """Return the tags that still have the same digest as in the index; the plan notes the rest.

    A retention policy selected the tags by their age in the index (the database's copy of the
    registry's tags). If a tag now points to a different image, that age is wrong.
    """
    tags, rows = image_tags.tags, image_tags.rows
    changed_tags = {name for name in names if name not in rows or rows[name].digest != tags[name]}
    if changed_tags:
        references = [f"{image.path}:{name}" for name in sorted(changed_tags, key=version_key)]
        plan.notes.append(UNKNOWN_AGE.format(name_first(references)))
    return set(names) - changed_tags


def _add_unreadable(plan: RemovalPlan, path: str, unreadable_tags: Collection[str]) -> None:
    """Add to a plan the removal of damaged tags, which can't be restored."""
    if not unreadable_tags:
        return
    plan.notes.append(NOT_RESTORABLE.format(name_some(unreadable_tags)))
    rules_by_tag = {
        ref.rpartition(":")[2]: rule for ref, rule in plan.despite if ref.startswith(f"{path}:")
    }
    plan.steps.append(
        RemovalStep("unreadable", path, tags=sorted(unreadable_tags), despite=rules_by_tag or None)
    )


def _add_tag_steps(
    plan: RemovalPlan,
    content: RepositoryContent,
    names: Collection[str],
    subjects: dict[str, str],
) -> None:
    """Add to a plan one step for each tag to remove.

    Args:
        subjects: assumptions about the subjects of signatures, from record_subjects().
    """
    plan.steps += [
        RemovalStep(
            "tag",
            content.repository,
            name,
            content.tags[name],
            days=plan.trash_days,
            subject=subjects.get(name, ""),
        )
        # Signatures come last, because their steps check whether their subjects were deleted.
        for name in sorted(names, key=lambda name: (subject_of(name) is not None, name))
    ]


def plan_namespace(path: str, *, role: Role | None = None) -> RemovalPlan:
    """Plan the removal of a namespace with everything in it; no steps if the namespace is empty.

    Raises:
        RegistryUnreachable: the namespace is not empty, and the registry can't be asked.
    """
    query = select(Place).where(below(Place.path, path)).order_by(Place.path)
    places = list(db.session.scalars(query))
    if not places:
        return RemovalPlan("namespace", path, [], method="none")
    projects = [place for place in places if isinstance(place, Project)]
    repositories = [name for project in projects for name in _repositories_of(project)]
    plan = _plan_all_tags("namespace", path, repositories, role, with_trash=True)
    plan.steps += [RemovalStep("project", repository=project.path) for project in projects]
    namespaces = [path, *(place.path for place in places if place.kind == "namespace")]
    # Delete the deepest namespaces first, because only an empty namespace can be deleted.
    plan.steps += [
        RemovalStep("namespace", repository=namespace)
        for namespace in sorted(namespaces, reverse=True)
    ]
    plan.notes.insert(0, _describe_places(len(projects), len(namespaces) - 1))
    return plan


def _describe_places(projects: int, namespaces: int) -> str:
    count = f"{projects} project{'' if projects == 1 else 's'}"
    if namespaces:
        count += f" and {namespaces} namespace{'' if namespaces == 1 else 's'}"
    return f"With it go {count} below it, and all their images."


def plan_image(
    image: ContainerImage, *, trash_days: int = 0, role: Role | None = None
) -> RemovalPlan:
    """Plan the removal of all tags and manifests of one repository.

    Args:
        trash_days: number of days that its tags can be restored; 0 to delete them permanently.

    Raises:
        RegistryUnreachable: the registry can't be asked.
    """
    if not trash_days:
        return _plan_all_tags("image", image.path, [image.path], role)
    try:
        refresh(image)  # Update the database from the registry's tag list.
    except RegistryError as error:
        raise translate(error) from None
    names = set(db.session.scalars(select(Tag.name).where(Tag.image_id == image.id)))
    options = RemovalOptions(attached=True, trash_days=trash_days, role=role)
    plan = plan_tags("image", image.path, [(image, names)], options)
    plan.notes.append("Tags that are pushed after this preview stay.")
    return plan


def plan_project(project: Project, *, role: Role | None = None) -> RemovalPlan:
    """Plan the removal of a project with all its images.

    Raises:
        RegistryUnreachable: the registry can't be asked.
    """
    plan = _plan_all_tags("project", project.path, _repositories_of(project), role, with_trash=True)
    plan.steps.append(RemovalStep("project", repository=project.path))
    plan.notes.insert(0, "The project goes when the registry has let go of all its images.")
    return plan


def _repositories_of(project: Project) -> list[str]:
    """Return the repositories of a project, including those that have tags only in the trash."""
    images = select(ContainerImage.path).where(ContainerImage.project_id == project.id)
    trash_repositories = select(TrashedTag.repository).where(TrashedTag.project_id == project.id)
    return sorted(db.session.scalars(images.union(trash_repositories)))


def _plan_all_tags(
    kind: str,
    target: str,
    repositories: list[str],
    role: Role | None,
    *,
    with_trash: bool = False,
) -> RemovalPlan:
    plan = RemovalPlan(
        kind, target, [], method="digest", notes=["Tags that are pushed after this preview stay."]
    )
    if repositories:
        deletion_method(RepositoryName(repositories[0]))
    if with_trash:
        plan.notes.append("None of this can be restored. Tags in the trash are deleted, too.")
    unread_images = UnreadImages(plan)
    for path in repositories:
        image_tags = unread_images.read_tags(path)
        if image_tags is not None:
            _add_all_tags(plan, path, image_tags, role, with_trash=with_trash)
    return plan


def _add_all_tags(
    plan: RemovalPlan, path: str, image_tags: ImageTags, role: Role | None, *, with_trash: bool
) -> None:
    """Add all tags of one repository to a plan.

    Usually one step deletes all their manifests. If a tag can't be read and stays, the other tags
    are deleted one by one instead.
    """
    # Record the current digest of each tag, so that a tag that is pushed later is kept.
    names = {name for name in image_tags.tags if with_trash or not is_trash_tag(name)}
    planned_digests = {
        name: image_tags.tags[name] for name in sorted(filter_allowed(plan, path, names, role))
    }
    unreadable_tags = filter_allowed_unreadable(
        plan, path, {n for n in image_tags.unreadable if with_trash or not is_trash_tag(n)}, role
    )
    _add_unreadable(plan, path, unreadable_tags)
    damaged_tags = image_tags.damaged - unreadable_tags
    add_damaged_note(plan, path, damaged_tags, image_tags.faulty - unreadable_tags)
    add_unanswered_note(plan, path, image_tags.unanswered)
    if damaged_tags or image_tags.unanswered:
        plan.steps += [
            RemovalStep("tag", repository=path, tag=name, digest=digest)
            for name, digest in planned_digests.items()
        ]
    else:
        plan.steps.append(RemovalStep("image", repository=path, tags=planned_digests))
    shown_tags = (n for n in {*planned_digests, *unreadable_tags} if not is_trash_tag(n))
    plan.name(planned_tags_from_names(path, shown_tags, image_tags))
