"""Steps of a removal. Each checks the current state before it acts, and is safe to repeat.

The function for a kind of step gets the lease that the worker holds on the removal, the number of
the step in the plan, and the step. It returns the outcome of the step, such as ``deleted`` or
``kept``, and a detail for the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ..batches import split_into_batches
from ..catalog.live_tags import LiveTags
from ..catalog.reconcile import reconcile
from ..db.session import db, end_read, writing
from ..distribution.errors import (
    DeletionByTagUnsupported,
    RegistryError,
)
from ..enumerations import name_some
from ..manifests.graph import graph_of
from ..manifests.reachability import closure
from ..models import ContainerImage, Place, Project, RemovalStep
from ..names import RepositoryName, TagName, is_trash_tag
from ..operations.errors import StepFailed
from ..operations.trash_entries import discard, forget, forget_gone, put_into_trash, show
from ..registry_connection import registry
from .lease import RemovalLease
from .placeholders import (
    CHANGED_SINCE_PREVIEW,
    delete_by_placeholder,
    delete_placeholder,
    is_dangling,
    is_listed,
)
from .registry_calls import (
    BATCH_SIZE,
    call_registry,
    listed_tags,
    read_in_batches,
    require_readable,
)
from .signature_steps import why_signature_stays
from .unreadable_tags import remove_unreadable
from .unreferenced import MANIFESTS_TIMEOUT, delete_unreferenced

#: Outcome of a tag that was moved to the trash, as it is stored and as the API returns it.
IN_TRASH = "in the bin"


def _run_tag_step(lease: RemovalLease, number: int, step: RemovalStep) -> tuple[str, str]:
    """Remove a single tag, and keep its manifest in the trash if the step says so."""
    if reason := why_signature_stays(lease, number, step):
        if step.trash_tag:  # an earlier worker may have added the trash entry
            discard(step.repository, step.trash_tag)
        return "kept", reason
    if not step.trash_tag:
        return _remove_tag(lease, number, step)
    repository, tag = RepositoryName(step.repository), TagName(step.tag)
    end_read()
    if _read_digest(lease, repository, tag) == step.digest:
        try:
            put_into_trash(lease.work, step)
        except RegistryError as error:
            if error.is_outage:
                raise  # the runner waits and repeats the step
            discard(step.repository, step.trash_tag)
            return "kept", f"the trash can't keep it ({error}); delete it permanently"
    outcome, detail = _remove_tag(lease, number, step)
    if outcome == "kept":
        discard(step.repository, step.trash_tag)
    elif show(step.repository, step.trash_tag) or outcome == "deleted":
        return IN_TRASH, detail
    return outcome, detail


def _run_purge_step(lease: RemovalLease, number: int, step: RemovalStep) -> tuple[str, str]:
    """Delete a tag from the trash permanently, with its trash entry.

    Trash tags belong to this application, so they are deleted even if they can't be read.
    """
    try:
        outcome, detail = _remove_tag(lease, number, step)
    except StepFailed:
        damaged_step = RemovalStep("unreadable", step.repository, tags=[step.tag])
        outcome, detail = remove_unreadable(lease, number, damaged_step)
        if outcome == "kept":  # The tag can be read, so the failure had a different cause.
            raise
    forget(step)
    return outcome, detail


def _remove_tag(lease: RemovalLease, number: int, step: RemovalStep) -> tuple[str, str]:
    """Remove one tag, and keep all tags that share its digest (PROTOCOLS 4.3).

    Distribution 3.x deletes by tag. For 2.8, the tag is pointed to a placeholder manifest, which is
    then deleted.
    """
    repository, tag = RepositoryName(step.repository), TagName(step.tag)
    end_read()
    current_digest = _read_digest(lease, repository, tag)
    if current_digest is None and not is_listed(lease, repository, tag):
        return "gone already", ""
    if current_digest is not None and current_digest == lease.placeholder_of(db.session(), number):
        return _delete_earlier_placeholder(lease, number, step, current_digest)
    if current_digest is not None and current_digest != step.digest:
        return "kept", CHANGED_SINCE_PREVIEW
    try:
        call_registry(lease, lambda: registry().delete_manifest(repository, tag), repeat=False)
    except DeletionByTagUnsupported:
        # Deletion is enabled (otherwise the status would be 405), so this registry is 2.8.
        return delete_by_placeholder(lease, number, step, tag)
    return "deleted", ""


def _delete_earlier_placeholder(
    lease: RemovalLease, number: int, step: RemovalStep, digest: str
) -> tuple[str, str]:
    """Delete a tag by deleting the placeholder to which an earlier worker has pointed the tag."""
    repository, tag = RepositoryName(step.repository), TagName(step.tag)
    delete_placeholder(lease, repository, digest)
    if not is_dangling(lease, repository, tag):
        return "deleted", ""
    return delete_by_placeholder(lease, number, step, tag)


def _read_digest(lease: RemovalLease, repository: RepositoryName, tag: TagName) -> str | None:
    return call_registry(lease, lambda: registry().head(repository, tag))


def _run_image_step(lease: RemovalLease, number: int, step: RemovalStep) -> tuple[str, str]:
    """Delete the manifests that the previewed tags point to, indexes before their children.

    Manifests that any tag outside of the preview may need are kept. If a tag can't be read, the
    manifests that it needs are unknown, so only the planned tags are deleted.

    Raises:
        StepFailed: a tag can't be read, so the manifests are kept.
    """
    repository = RepositoryName(step.repository)
    end_read()
    planned_digests = step.digest_by_tag
    roots: dict[str, None] = {}
    pushed_tags = []
    live = read_in_batches(lease, repository, listed_tags(lease, repository))
    try:
        require_readable(repository, live, planned_digests)
    except StepFailed as failure:
        names = _remove_each(lease, number, step, live)
        if not names:
            raise
        raise StepFailed(f"{name_some(names)} deleted; {failure}") from None
    for tag, digest in live.digests.items():
        if planned_digests.get(tag) == digest:
            roots[digest] = None
        elif not is_trash_tag(tag):
            pushed_tags.append(tag)
    deleted_count, _ = delete_unreferenced(
        lease, repository, _list_descendants(lease, repository, roots), planned_digests
    )
    _finish_image(lease, number, step)
    detail = f"{deleted_count} manifest{'' if deleted_count == 1 else 's'}"
    if pushed_tags:
        detail += f"; pushed since the preview, and kept: {', '.join(pushed_tags[:10])}"
    return "deleted", detail


def _finish_image(lease: RemovalLease, number: int, step: RemovalStep) -> None:
    """Delete trash entries of deleted tags, and planned tags still listed without a manifest."""
    repository, planned_digests = RepositoryName(step.repository), step.digest_by_tag
    listed = listed_tags(lease, repository)
    forget_gone(
        str(repository), {tag for tag in planned_digests if is_trash_tag(tag)}.difference(listed)
    )
    for tag in listed:
        lease.renew()
        if tag in planned_digests and is_dangling(lease, repository, TagName(tag)):
            delete_by_placeholder(lease, number, step, TagName(tag))


def _remove_each(lease: RemovalLease, number: int, step: RemovalStep, live: LiveTags) -> list[str]:
    """Delete the planned tags of an image one by one, but no manifests; return the deleted tags."""
    repository, planned_digests = RepositoryName(step.repository), step.digest_by_tag
    placeholder = lease.placeholder_of(db.session(), number)
    end_read()
    deleted_tags = []
    for name, digest in live.digests.items():
        # The tag can also point to the placeholder of a worker that died.
        if name not in planned_digests or digest not in {planned_digests[name], placeholder}:
            continue
        lease.renew()
        tag = TagName(name)
        try:
            call_registry(lease, partial(registry().delete_manifest, repository, tag))
            outcome = "deleted"
        except DeletionByTagUnsupported:
            outcome, _ = delete_by_placeholder(lease, number, replace(step, digest=digest), tag)
        if outcome == "deleted":
            deleted_tags.append(name)
    return deleted_tags


def _run_manifests_step(lease: RemovalLease, _number: int, step: RemovalStep) -> tuple[str, str]:
    """Delete the manifests that a step lists, except those that a tag now needs."""
    repository = RepositoryName(step.repository)
    deleted_count, kept_count = delete_unreferenced(lease, repository, step.digests or [], {})
    detail = f"{deleted_count} manifest{'' if deleted_count == 1 else 's'}"
    if kept_count:
        detail += f"; {kept_count} are in use, and stay"
    return "deleted" if deleted_count or not kept_count else "kept", detail


def _list_descendants(
    lease: RemovalLease, repository: RepositoryName, roots: Iterable[str]
) -> list[str]:
    """Return the given manifests, followed by all manifests below them, at any depth."""
    reachable: dict[str, None] = {}
    for batch in split_into_batches(roots, BATCH_SIZE):
        lease.renew()
        graph = graph_of(repository, batch, MANIFESTS_TIMEOUT, lease.renew)
        reachable |= dict.fromkeys(closure(batch, graph.children))
    end_read()
    return list(reachable)


def _run_project_step(lease: RemovalLease, _number: int, step: RemovalStep) -> tuple[str, str]:
    """Delete a project itself from the database, if the registry has none of its images.

    Raises:
        StepFailed: images still have tags.
    """
    images = (
        select(ContainerImage.path)
        .join(Project, Project.id == ContainerImage.project_id)
        .where(Project.path == step.repository)
    )
    for path in db.session.scalars(images).all():
        lease.renew()
        reconcile(RepositoryName(path), digests=False)
    remaining_images = list(db.session.scalars(images))
    if remaining_images:
        raise StepFailed(f"images still have tags, and stay: {', '.join(remaining_images[:5])}")
    with writing() as session:
        _remove_place(session, step.repository)
    return "deleted", ""


def _run_namespace_step(_lease: RemovalLease, _number: int, step: RemovalStep) -> tuple[str, str]:
    """Delete a namespace from the database, if it is empty.

    Raises:
        StepFailed: a namespace or project was created in it after the preview.
    """
    with writing() as session:
        place = session.scalar(select(Place).where(Place.path == step.repository))
        if place is None:
            return "gone already", ""
        remaining_path = session.scalar(
            select(Place.path).where(Place.parent_id == place.id).limit(1)
        )
        if remaining_path is not None:
            raise StepFailed(f"{remaining_path} was created meanwhile, and stays")
        _remove_place(session, step.repository)
    return "deleted", ""


def _remove_place(session: Session, path: str) -> None:
    session.execute(
        delete(Place).where(Place.path == path).execution_options(synchronize_session=False)
    )


STEPS: dict[str, Callable[[RemovalLease, int, RemovalStep], tuple[str, str]]] = {
    "tag": _run_tag_step,
    "purge": _run_purge_step,
    "unreadable": remove_unreadable,
    "manifests": _run_manifests_step,
    "image": _run_image_step,
    "project": _run_project_step,
    "namespace": _run_namespace_step,
}
