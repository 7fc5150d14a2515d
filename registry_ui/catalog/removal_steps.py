"""The steps of a removal: each looks again just before it acts, and is safe to repeat."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ..distribution.errors import (
    DeletionByTagUnsupported,
    RegistryError,
    RegistryUnavailable,
)
from ..distribution.manifest import PLACEHOLDER_ANNOTATION
from ..extensions import db, release, writing
from ..models import ContainerImage, Place, Project, Removal, utc_now
from ..names import Digest, RepositoryName, TagName, is_binned
from .binning import forget, forget_gone, put_into_bin, take_back
from .connection import registry
from .lease import Lease
from .live_tags import digests_of
from .parts import parts_of
from .reach import closure
from .reconcile import reconcile
from .removal_calls import made
from .unneeded import BATCH, LOOK_DEADLINE, delete_unneeded
from .work import StepFailed

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
#: So often a placeholder is tried for one tag.
ATTEMPTS = 3
PLACEHOLDER_CONFIG = "application/vnd.registry-ui.placeholder.v1+json"
IN_THE_BIN = "in the bin"
MOVED = "it points to another image since the preview"


def _tag_step(lease: Lease[Removal], number: int, step: dict[str, Any]) -> tuple[str, str]:
    """Remove one tag and no other, by way of the bin where the step says so."""
    if "bin" not in step:
        return _remove_tag(lease, number, step)
    repository, tag = RepositoryName(step["repository"]), TagName(step["tag"])
    release()
    if made(lambda: registry().head(repository, tag)) == step["digest"]:
        try:
            put_into_bin(lease.work, step)
        except RegistryUnavailable as error:
            raise StepFailed(f"{error}. {tag} was not touched; delete again to go on.") from None
        except RegistryError as error:
            return "kept", f"the bin can't keep it ({error}); delete it for good"
    outcome, detail = _remove_tag(lease, number, step)
    if outcome == "kept":
        take_back(step)
    return (IN_THE_BIN, "") if outcome == "deleted" else (outcome, detail)


def _purge_step(lease: Lease[Removal], number: int, step: dict[str, Any]) -> tuple[str, str]:
    """Remove a tag of the bin, and forget it there."""
    outcome, detail = _remove_tag(lease, number, step)
    forget(step)
    return outcome, detail


def _remove_tag(lease: Lease[Removal], number: int, step: dict[str, Any]) -> tuple[str, str]:
    """Remove one tag and no other: by tag on 3.x, by a placeholder on 2.8 (PROTOCOLS 4.3)."""
    repository, tag = RepositoryName(step["repository"]), TagName(step["tag"])
    release()
    now = made(lambda: registry().head(repository, tag))
    if now is None and not _is_listed(repository, tag):
        return "gone already", ""
    if now is not None and now == lease.prepared(db.session(), number):
        made(lambda: registry().delete_manifest(repository, Digest(now)))
        if not _dangles(repository, tag):
            return "deleted", ""
    elif now is not None and now != step["digest"]:
        return "kept", MOVED
    try:
        made(lambda: registry().delete_manifest(repository, tag))
    except DeletionByTagUnsupported:
        # So deletion is on (it would say 405), and this is 2.8.
        return _by_placeholder(lease, number, step, tag)
    return "deleted", ""


def _is_listed(repository: RepositoryName, tag: TagName) -> bool:
    return str(tag) in (made(lambda: registry().tags(repository)) or [])


def _dangles(repository: RepositoryName, tag: TagName) -> bool:
    """Whether a tag is listed and stands for nothing.

    2.8 deletes a manifest first and looks for its tags afterwards: where it stumbles over
    a tag that is written beside, the tags stay (docs/protocols.md, "Found since").
    """
    gone = made(lambda: registry().head(repository, tag)) is None
    return gone and _is_listed(repository, tag)


def _by_placeholder(
    lease: Lease[Removal], number: int, step: dict[str, Any], tag: TagName
) -> tuple[str, str]:
    """Point the tag to a manifest that nothing else points to, and delete that by digest."""
    repository = RepositoryName(step["repository"])
    ours = {step.get("digest")}
    for _ in range(ATTEMPTS):
        body = _prepare_placeholder(lease, number, step)
        # Preparing took some calls: whoever pushed meanwhile was told that it worked.
        now = made(lambda: registry().head(repository, tag))
        if now is None and not _is_listed(repository, tag):
            return "gone already", ""
        if now is not None and now not in ours:
            return "kept", MOVED
        digest = Digest.of(body)
        ours.add(str(digest))
        made(lambda body=body: registry().put_manifest(repository, tag, body, OCI_MANIFEST))
        made(lambda digest=digest: registry().delete_manifest(repository, digest))
        if not _dangles(repository, tag):
            return "deleted", ""
    raise StepFailed(f"the registry still lists {tag}, which stands for nothing. Delete it again.")


def _prepare_placeholder(lease: Lease[Removal], number: int, step: dict[str, Any]) -> bytes:
    """Push what a placeholder needs and return the manifest, which is not pushed yet.

    Its digest is stored first: a worker that dies in between leaves a tag that the next
    one knows as its own.
    """
    repository = RepositoryName(step["repository"])
    mark = f"{lease.work.id}/{number} {utc_now().isoformat()}"
    # A config that nobody else pushes at this moment: 2.8 may refuse a manifest while
    # one of its blobs is written again.
    config = json.dumps({PLACEHOLDER_ANNOTATION: mark}).encode()
    body = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {
                "mediaType": PLACEHOLDER_CONFIG,
                "digest": made(lambda: registry().put_blob(repository, config)),
                "size": len(config),
            },
            "layers": [],
            "annotations": {PLACEHOLDER_ANNOTATION: mark},
        }
    ).encode()
    lease.prepare(number, step, str(Digest.of(body)))
    return body


def _image_step(lease: Lease[Removal], number: int, step: dict[str, Any]) -> tuple[str, str]:
    """Remove every manifest that the previewed tags stand for, indexes before their children.

    What a tag outside the preview stands for stays, with everything that it may need.
    """
    repository = RepositoryName(step["repository"])
    release()
    planned: dict[str, str] = step["tags"]
    tops: dict[str, None] = {}
    kept = []
    names = made(lambda: registry().tags(repository)) or []
    for start in range(0, len(names), BATCH):
        lease.hold()
        some = names[start : start + BATCH]
        for tag, digest in (made(lambda some=some: digests_of(repository, some)) or {}).items():
            if planned.get(tag) == digest:
                tops[digest] = None
            elif not is_binned(tag):
                kept.append(tag)
    deleted, _ = delete_unneeded(lease, repository, _with_parts(lease, repository, tops), planned)
    left = made(lambda: registry().tags(repository)) or []
    forget_gone(str(repository), {tag for tag in planned if is_binned(tag)}.difference(left))
    for tag in left:
        lease.hold()
        if tag in planned and _dangles(repository, TagName(tag)):
            _by_placeholder(lease, number, step, TagName(tag))
    detail = f"{deleted} manifest{'' if deleted == 1 else 's'}"
    if kept:
        detail += f"; pushed since the preview, and kept: {', '.join(kept[:10])}"
    return "deleted", detail


def _manifests_step(lease: Lease[Removal], _number: int, step: dict[str, Any]) -> tuple[str, str]:
    """Remove manifests to which no tag leads any more: what a tag needs by now, stays."""
    repository = RepositoryName(step["repository"])
    deleted, kept = delete_unneeded(lease, repository, step["digests"], {})
    detail = f"{deleted} manifest{'' if deleted == 1 else 's'}"
    if kept:
        detail += f"; {kept} are in use, and stay"
    return "deleted" if deleted or not kept else "kept", detail


def _with_parts(
    lease: Lease[Removal], repository: RepositoryName, tops: Iterable[str]
) -> list[str]:
    """Return these manifests and all manifests below them, at any depth, tops first."""
    every = list(tops)
    found: dict[str, None] = {}
    for start in range(0, len(every), BATCH):
        lease.hold()
        some = every[start : start + BATCH]
        parts = parts_of(repository, some, LOOK_DEADLINE, lease.hold)
        found |= dict.fromkeys(closure(some, parts.children))
    release()
    return list(found)


def _project_step(lease: Lease[Removal], _number: int, step: dict[str, Any]) -> tuple[str, str]:
    """Remove the project itself, if the registry has let go of every image."""
    images = (
        select(ContainerImage.path)
        .join(Project, Project.id == ContainerImage.project_id)
        .where(Project.path == step["repository"])
    )
    for path in db.session.scalars(images).all():
        lease.hold()
        reconcile(RepositoryName(path), digests=False)
    left = list(db.session.scalars(images))
    if left:
        raise StepFailed(f"images were pushed meanwhile, and stay: {', '.join(left[:5])}")
    with writing() as session:
        _remove_place(session, step["repository"])
    return "deleted", ""


def _namespace_step(_lease: Lease[Removal], _number: int, step: dict[str, Any]) -> tuple[str, str]:
    """Remove a namespace, if nothing is left in it."""
    with writing() as session:
        place = session.scalar(select(Place).where(Place.path == step["repository"]))
        if place is None:
            return "gone already", ""
        left = session.scalar(select(Place.path).where(Place.parent_id == place.id).limit(1))
        if left is not None:
            raise StepFailed(f"{left} was created meanwhile, and stays")
        _remove_place(session, step["repository"])
    return "deleted", ""


def _remove_place(session: Session, path: str) -> None:
    session.execute(
        delete(Place).where(Place.path == path).execution_options(synchronize_session=False)
    )


STEPS: dict[str, Callable[[Lease[Removal], int, dict[str, Any]], tuple[str, str]]] = {
    "tag": _tag_step,
    "purge": _purge_step,
    "manifests": _manifests_step,
    "image": _image_step,
    "project": _project_step,
    "namespace": _namespace_step,
}
