"""Steps of a removal. Each checks the current state before it acts, and is safe to repeat."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ..catalog.live_tags import LiveTags
from ..catalog.reconcile import reconcile
from ..db.session import db, end_read, writing
from ..distribution.errors import (
    DeletionByTagUnsupported,
    RegistryError,
    RegistryFault,
    RegistryUnavailable,
)
from ..enumerations import name_some
from ..manifests.graph import graph_of
from ..manifests.reachability import closure
from ..models import ContainerImage, Place, Project, Removal, RemovalStep
from ..names import RepositoryName, TagName, is_binned
from ..operations.errors import StepFailed
from ..operations.operation_lease import OperationLease
from ..operations.trash_entries import discard, forget, forget_gone, put_into_trash, show
from ..registry_connection import registry
from .placeholders import MOVED, dangles, delete_by_placeholder, delete_placeholder, is_listed
from .registry_calls import BATCH, call_registry, listed_tags, read_in_batches, require_readable
from .signature_steps import why_signature_stays
from .unreadable_tags import remove_unreadable
from .unreferenced import LOOK_DEADLINE, delete_unreferenced

IN_THE_BIN = "in the bin"


def _tag_step(lease: OperationLease[Removal], number: int, step: RemovalStep) -> tuple[str, str]:
    """Remove a single tag, and move it to the trash if the step says so."""
    if why := why_signature_stays(lease, number, step):
        if step.trash_tag:  # an earlier worker may have added the trash entry
            discard(step.repository, step.trash_tag)
        return "kept", why
    if not step.trash_tag:
        return _remove_tag(lease, number, step)
    repository, tag = RepositoryName(step.repository), TagName(step.tag)
    end_read()
    if _digest(lease, repository, tag) == step.digest:
        try:
            put_into_trash(lease.work, step)
        except RegistryError as error:
            if isinstance(error, RegistryUnavailable) and not isinstance(error, RegistryFault):
                raise  # the runner waits and repeats the step
            discard(step.repository, step.trash_tag)
            return "kept", f"the bin can't keep it ({error}); delete it for good"
    outcome, detail = _remove_tag(lease, number, step)
    if outcome == "kept":
        discard(step.repository, step.trash_tag)
    elif show(step.repository, step.trash_tag) or outcome == "deleted":
        return IN_THE_BIN, detail
    return outcome, detail


def _purge_step(lease: OperationLease[Removal], number: int, step: RemovalStep) -> tuple[str, str]:
    """Delete a tag from the trash permanently, with its entry.

    Trash tags belong to this application, so they are deleted even if they can't be read.
    """
    try:
        outcome, detail = _remove_tag(lease, number, step)
    except StepFailed:
        damaged = RemovalStep("unreadable", step.repository, tags=[step.tag])
        outcome, detail = remove_unreadable(lease, number, damaged)
        if outcome == "kept":  # the tag can be read, so the failure had another cause
            raise
    forget(step)
    return outcome, detail


def _remove_tag(lease: OperationLease[Removal], number: int, step: RemovalStep) -> tuple[str, str]:
    """Remove one tag and no other: by tag on 3.x, by a placeholder on 2.8 (PROTOCOLS 4.3)."""
    repository, tag = RepositoryName(step.repository), TagName(step.tag)
    end_read()
    now = _digest(lease, repository, tag)
    if now is None and not is_listed(lease, repository, tag):
        return "gone already", ""
    if now is not None and now == lease.placeholder_of(db.session(), number):
        return _end_placeholder(lease, number, step, now)
    if now is not None and now != step.digest:
        return "kept", MOVED
    try:
        call_registry(lease, lambda: registry().delete_manifest(repository, tag), repeat=False)
    except DeletionByTagUnsupported:
        # Deletion is enabled (otherwise the answer would be 405), so this is 2.8.
        return delete_by_placeholder(lease, number, step, tag)
    return "deleted", ""


def _end_placeholder(
    lease: OperationLease[Removal], number: int, step: RemovalStep, digest: str
) -> tuple[str, str]:
    """Delete the placeholder to which an earlier worker pointed the tag."""
    repository, tag = RepositoryName(step.repository), TagName(step.tag)
    delete_placeholder(lease, repository, digest)
    if not dangles(lease, repository, tag):
        return "deleted", ""
    return delete_by_placeholder(lease, number, step, tag)


def _digest(lease: OperationLease[Removal], repository: RepositoryName, tag: TagName) -> str | None:
    return call_registry(lease, lambda: registry().head(repository, tag))


def _image_step(lease: OperationLease[Removal], number: int, step: RemovalStep) -> tuple[str, str]:
    """Delete the manifests that the previewed tags point to, indexes before their children.

    Manifests that any tag outside of the preview may need are kept. If a tag can't be read, its
    needs are unknown, so only the planned tags are deleted.

    Raises:
        StepFailed: a tag can't be read, so the manifests are kept.
    """
    repository = RepositoryName(step.repository)
    end_read()
    planned = step.digest_by_tag
    tops: dict[str, None] = {}
    kept = []
    live = read_in_batches(lease, repository, listed_tags(lease, repository))
    try:
        require_readable(repository, live, planned)
    except StepFailed as failure:
        names = _remove_each(lease, number, step, live)
        if not names:
            raise
        raise StepFailed(f"{name_some(names)} deleted; {failure}") from None
    for tag, digest in live.digests.items():
        if planned.get(tag) == digest:
            tops[digest] = None
        elif not is_binned(tag):
            kept.append(tag)
    deleted, _ = delete_unreferenced(
        lease, repository, _with_parts(lease, repository, tops), planned
    )
    left = listed_tags(lease, repository)
    forget_gone(str(repository), {tag for tag in planned if is_binned(tag)}.difference(left))
    for tag in left:
        lease.renew()
        if tag in planned and dangles(lease, repository, TagName(tag)):
            delete_by_placeholder(lease, number, step, TagName(tag))
    detail = f"{deleted} manifest{'' if deleted == 1 else 's'}"
    if kept:
        detail += f"; pushed since the preview, and kept: {', '.join(kept[:10])}"
    return "deleted", detail


def _remove_each(
    lease: OperationLease[Removal], number: int, step: RemovalStep, live: LiveTags
) -> list[str]:
    """Delete the planned tags of an image one by one, but no manifests; return the deleted tags."""
    repository, planned = RepositoryName(step.repository), step.digest_by_tag
    ours = lease.placeholder_of(db.session(), number)
    end_read()
    deleted = []
    for name, digest in live.digests.items():
        # The tag can also point to the placeholder of a worker that died.
        if name not in planned or digest not in {planned[name], ours}:
            continue
        lease.renew()
        tag = TagName(name)
        try:
            call_registry(lease, partial(registry().delete_manifest, repository, tag))
            outcome = "deleted"
        except DeletionByTagUnsupported:
            outcome, _ = delete_by_placeholder(lease, number, replace(step, digest=digest), tag)
        if outcome == "deleted":
            deleted.append(name)
    return deleted


def _manifests_step(
    lease: OperationLease[Removal], _number: int, step: RemovalStep
) -> tuple[str, str]:
    """Delete manifests that no tag needs, and keep those that a tag now needs."""
    repository = RepositoryName(step.repository)
    deleted, kept = delete_unreferenced(lease, repository, step.digests or [], {})
    detail = f"{deleted} manifest{'' if deleted == 1 else 's'}"
    if kept:
        detail += f"; {kept} are in use, and stay"
    return "deleted" if deleted or not kept else "kept", detail


def _with_parts(
    lease: OperationLease[Removal], repository: RepositoryName, tops: Iterable[str]
) -> list[str]:
    """Return the given manifests, followed by all manifests below them, at any depth."""
    every = list(tops)
    found: dict[str, None] = {}
    for start in range(0, len(every), BATCH):
        lease.renew()
        some = every[start : start + BATCH]
        parts = graph_of(repository, some, LOOK_DEADLINE, lease.renew)
        found |= dict.fromkeys(closure(some, parts.children))
    end_read()
    return list(found)


def _project_step(
    lease: OperationLease[Removal], _number: int, step: RemovalStep
) -> tuple[str, str]:
    """Delete the project itself, if none of its images is left.

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
    left = list(db.session.scalars(images))
    if left:
        raise StepFailed(f"images still have tags, and stay: {', '.join(left[:5])}")
    with writing() as session:
        _remove_place(session, step.repository)
    return "deleted", ""


def _namespace_step(
    _lease: OperationLease[Removal], _number: int, step: RemovalStep
) -> tuple[str, str]:
    """Delete a namespace, if nothing is left in it.

    Raises:
        StepFailed: something was created in it after the preview.
    """
    with writing() as session:
        place = session.scalar(select(Place).where(Place.path == step.repository))
        if place is None:
            return "gone already", ""
        left = session.scalar(select(Place.path).where(Place.parent_id == place.id).limit(1))
        if left is not None:
            raise StepFailed(f"{left} was created meanwhile, and stays")
        _remove_place(session, step.repository)
    return "deleted", ""


def _remove_place(session: Session, path: str) -> None:
    session.execute(
        delete(Place).where(Place.path == path).execution_options(synchronize_session=False)
    )


STEPS: dict[str, Callable[[OperationLease[Removal], int, RemovalStep], tuple[str, str]]] = {
    "tag": _tag_step,
    "purge": _purge_step,
    "unreadable": remove_unreadable,
    "manifests": _manifests_step,
    "image": _image_step,
    "project": _project_step,
    "namespace": _namespace_step,
}
