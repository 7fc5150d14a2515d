"""Deleting a tag of 2.8 and no other: by a placeholder that nothing else points to (PROTOCOLS 4.3).

2.8 deletes a manifest first and looks for its tags afterwards. If it stumbles over a tag of the
repository whose link is empty, the tags stay listed and stand for nothing (docs/protocols.md,
"Found since").
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..catalog.live_tags import damaged_tags_of
from ..catalog.tag_history import record_removed
from ..distribution.errors import RegistryFault, RegistryNotFound
from ..distribution.manifest import PLACEHOLDER_ANNOTATION
from ..enumerations import name_some
from ..models import ContainerImage, Removal, RemovalStep, Tag, utc_now
from ..names import Digest, RepositoryName, TagName
from ..operations.errors import StepFailed
from ..operations.operation_lease import OperationLease
from ..registry_connection import registry
from .registry_calls import call_registry, listed_tags, read_in_batches

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
PLACEHOLDER_CONFIG = "application/vnd.registry-ui.placeholder.v1+json"
#: How often a placeholder is tried for one tag.
ATTEMPTS = 3
MOVED = "it points to another image since the preview"
UNUSABLE = (
    "the registry lists names that can't be tags ({}), and may keep listing deleted tags until an "
    "administrator removes these from its storage"
)
STILL_LISTED = "the registry lists it until {} is pushed again or removed, which can't be read"


def say_unusable(names: Iterable[str]) -> str:
    """Return what listed names that can't be tags mean for a removal; they are quoted."""
    quoted = name_some(map(repr, names))
    return UNUSABLE.format(quoted)


def is_listed(lease: OperationLease[Removal], repository: RepositoryName, tag: TagName) -> bool:
    """Whether the registry lists a tag."""
    return str(tag) in listed_tags(lease, repository)


def dangles(lease: OperationLease[Removal], repository: RepositoryName, tag: TagName) -> bool:
    """Whether a tag is listed and stands for nothing."""
    gone = call_registry(lease, lambda: registry().head(repository, tag)) is None
    return gone and is_listed(lease, repository, tag)


def delete_by_placeholder(
    lease: OperationLease[Removal], number: int, step: RemovalStep, tag: TagName
) -> tuple[str, str]:
    """Point the tag to a manifest that nothing else points to, and delete that by digest."""
    repository = RepositoryName(step.repository)
    ours = {step.digest}
    for _ in range(ATTEMPTS):
        body = prepare_placeholder(lease, number, step)
        # Preparing took some calls: whoever pushed meanwhile was told that it worked.
        now = call_registry(lease, lambda: registry().head(repository, tag))
        if now is None and not is_listed(lease, repository, tag):
            return "gone already", ""
        if now is not None and now not in ours:
            return "kept", MOVED
        digest = Digest.of(body)
        ours.add(str(digest))
        put_placeholder(lease, repository, tag, body)
        delete_placeholder(lease, repository, str(digest))
        if not dangles(lease, repository, tag):
            return "deleted", ""
        if (culprits := _still_faulty(lease, repository)) and str(tag) not in culprits:
            mark_leftovers(lease, repository, [str(tag)])
            return "deleted", STILL_LISTED.format(name_some(culprits))
        listed = listed_tags(lease, repository)
        if listed.unusable:
            mark_leftovers(lease, repository, [str(tag)])
            return "deleted", f"the registry still lists it; {say_unusable(listed.unusable)}"
    raise StepFailed(f"the registry still lists {tag}, which stands for nothing. Delete it again.")


def prepare_placeholder(lease: OperationLease[Removal], number: int, step: RemovalStep) -> bytes:
    """Push what a placeholder needs and return the manifest, which is not pushed yet.

    Its digest is stored first: a worker that dies in between leaves a tag that the next
    one knows as its own.
    """
    repository = RepositoryName(step.repository)
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
                "digest": call_registry(lease, lambda: registry().put_blob(repository, config)),
                "size": len(config),
            },
            "layers": [],
            "annotations": {PLACEHOLDER_ANNOTATION: mark},
        }
    ).encode()
    lease.record_placeholder(number, step, str(Digest.of(body)))
    return body


def put_placeholder(
    lease: OperationLease[Removal], repository: RepositoryName, tag: TagName, body: bytes
) -> None:
    """Point a tag to a placeholder, just after it was looked at: never again after a wait."""
    call_registry(
        lease,
        lambda: registry().put_manifest(repository, tag, body, OCI_MANIFEST),
        repeat=False,
    )


def delete_placeholder(
    lease: OperationLease[Removal], repository: RepositoryName, digest: str
) -> None:
    """Delete a placeholder; whether its tags went with it is for the caller to see."""

    def call() -> None:
        try:
            registry().delete_manifest(repository, Digest(digest))
        except RegistryFault:
            # If the manifest went, 2.8 stumbled over another tag.
            with suppress(RegistryNotFound):
                registry().head(repository, Digest(digest))
                raise

    call_registry(lease, call)


def mark_leftovers(
    lease: OperationLease[Removal], repository: RepositoryName, names: list[str]
) -> None:
    """Note in the index that tags were removed, although the registry lists them on."""
    image = select(ContainerImage.id).where(ContainerImage.path == str(repository))
    query = select(Tag).where(Tag.name.in_(names), Tag.image_id.in_(image))

    def write(session: Session) -> None:
        rows, now = session.scalars(query).all(), utc_now()
        record_removed(session, rows, now, lease.work.requested_by)
        for row in rows:
            row.damage, row.damaged_since, row.digest = "removed", now, None

    lease.write(write)


def _still_faulty(lease: OperationLease[Removal], repository: RepositoryName) -> set[str]:
    """Return the tags over which 2.8 stumbles in a repository: those of the index, or any.

    All tags are read once. After that, one call for each removed tag tells that it is still so.
    """
    key = f"faulty in {repository}"
    seen: set[str] | None = lease.looks.get(key)
    if seen is None or (seen and not _is_faulty(repository, min(seen))):
        seen = lease.looks[key] = _read_faulty(lease, repository)
    return seen


def _is_faulty(repository: RepositoryName, tag: str) -> bool:
    try:
        with suppress(RegistryNotFound):
            registry().head(repository, TagName(tag))
    except RegistryFault:
        return True
    return False


def _read_faulty(lease: OperationLease[Removal], repository: RepositoryName) -> set[str]:
    known = [name for name, damage in damaged_tags_of(repository).items() if damage == "fault"]
    if known and (faulty := read_in_batches(lease, repository, known).faulty):
        return faulty
    names = listed_tags(lease, repository)
    return read_in_batches(lease, repository, names).faulty
