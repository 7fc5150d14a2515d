"""Deletion of a single tag on Distribution 2.8, with a placeholder manifest (PROTOCOLS 4.3).

2.8 deletes by digest only, which removes every tag of that digest. So the tag is pointed to a
unique placeholder manifest, and the placeholder is deleted.

2.8 deletes a manifest before it looks for the tags that point to it. If the repository has a tag
whose link file is empty, that lookup fails: the deleted tags stay listed, but point to nothing
(docs/protocols.md, "Found since").
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
from ..models import ContainerImage, RemovalStep, Tag, utc_now
from ..names import Digest, RepositoryName, TagName
from ..operations.errors import StepFailed
from ..registry_connection import registry
from .lease import RemovalLease
from .registry_calls import call_registry, listed_tags, read_in_batches

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
PLACEHOLDER_CONFIG = "application/vnd.registry-ui.placeholder.v1+json"
#: Maximum number of placeholders that are tried for one tag.
MAX_ATTEMPTS = 3
CHANGED_SINCE_PREVIEW = "it points to another image since the preview"
UNUSABLE_NAMES = (
    "the registry lists names that can't be tags ({}), and may keep listing deleted tags until an "
    "administrator removes these from its storage"
)
STILL_LISTED = "the registry lists it until {} is pushed again or removed, which can't be read"


def describe_unusable(names: Iterable[str]) -> str:
    """Return how listed names that are not valid tags affect a removal, with the names quoted."""
    quoted_names = name_some(map(repr, names))
    return UNUSABLE_NAMES.format(quoted_names)


def is_listed(lease: RemovalLease, repository: RepositoryName, tag: TagName) -> bool:
    """Return whether the registry lists a tag."""
    return str(tag) in listed_tags(lease, repository)


def is_dangling(lease: RemovalLease, repository: RepositoryName, tag: TagName) -> bool:
    """Return whether the registry lists a tag that points to no manifest."""
    is_missing = call_registry(lease, lambda: registry().head(repository, tag)) is None
    return is_missing and is_listed(lease, repository, tag)


def delete_by_placeholder(
    lease: RemovalLease, number: int, step: RemovalStep, tag: TagName
) -> tuple[str, str]:
    """Delete a tag on Distribution 2.8: point it to a placeholder, and delete the placeholder.

    Returns:
        The outcome of the step (``deleted``, ``kept``, or ``gone already``) and a detail.

    Raises:
        StepFailed: the registry still lists the tag after several attempts.
    """
    repository = RepositoryName(step.repository)
    expected_digests = {step.digest}
    for _ in range(MAX_ATTEMPTS):
        body = prepare_placeholder(lease, number, step)
        # Check again: a client may have pushed this tag while the placeholder was prepared.
        current_digest = call_registry(lease, lambda: registry().head(repository, tag))
        if current_digest is None and not is_listed(lease, repository, tag):
            return "gone already", ""
        if current_digest is not None and current_digest not in expected_digests:
            return "kept", CHANGED_SINCE_PREVIEW
        placeholder = Digest.of(body)
        expected_digests.add(str(placeholder))
        put_placeholder(lease, repository, tag, body)
        delete_placeholder(lease, repository, str(placeholder))
        if not is_dangling(lease, repository, tag):
            return "deleted", ""
        if (faulty_tags := _find_faulty_tags(lease, repository)) and str(tag) not in faulty_tags:
            mark_leftovers(lease, repository, [str(tag)])
            return "deleted", STILL_LISTED.format(name_some(faulty_tags))
        listed = listed_tags(lease, repository)
        if listed.unusable:
            mark_leftovers(lease, repository, [str(tag)])
            return "deleted", f"the registry still lists it; {describe_unusable(listed.unusable)}"
    raise StepFailed(f"the registry still lists {tag}, which stands for nothing. Delete it again.")


def prepare_placeholder(lease: RemovalLease, number: int, step: RemovalStep) -> bytes:
    """Upload a placeholder's config, and return the body of the manifest, which is not pushed yet.

    The digest of the manifest is recorded, so that the next worker recognizes the placeholder if
    this worker dies after the push.
    """
    repository = RepositoryName(step.repository)
    annotation = f"{lease.work.id}/{number} {utc_now().isoformat()}"
    # The config is unique: 2.8 can refuse a manifest while one of its blobs is uploaded again.
    config = json.dumps({PLACEHOLDER_ANNOTATION: annotation}).encode()
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
            "annotations": {PLACEHOLDER_ANNOTATION: annotation},
        }
    ).encode()
    lease.record_placeholder(number, step, str(Digest.of(body)))
    return body


def put_placeholder(
    lease: RemovalLease, repository: RepositoryName, tag: TagName, body: bytes
) -> None:
    """Point a tag to a placeholder, right after the caller has checked the tag.

    The call is not repeated after an outage, because the tag can have changed meanwhile.
    """
    call_registry(
        lease,
        lambda: registry().put_manifest(repository, tag, body, OCI_MANIFEST),
        repeat=False,
    )


def delete_placeholder(lease: RemovalLease, repository: RepositoryName, digest: str) -> None:
    """Delete a placeholder by digest; the caller checks whether its tags were deleted, too."""

    def call() -> None:
        try:
            registry().delete_manifest(repository, Digest(digest))
        except RegistryFault:
            # If the manifest is gone, 2.8 deleted it and then failed on a damaged tag.
            with suppress(RegistryNotFound):
                registry().head(repository, Digest(digest))
                raise

    call_registry(lease, call)


def mark_leftovers(lease: RemovalLease, repository: RepositoryName, names: list[str]) -> None:
    """Mark tags as removed in the index, the database's copy of the registry's tags.

    Used for tags that were removed although the registry still lists them.
    """
    image_id = select(ContainerImage.id).where(ContainerImage.path == str(repository))
    query = select(Tag).where(Tag.name.in_(names), Tag.image_id.in_(image_id))

    def write(session: Session) -> None:
        rows, now = session.scalars(query).all(), utc_now()
        record_removed(session, rows, now, lease.work.requested_by)
        for row in rows:
            row.damage, row.damaged_since, row.digest = "removed", now, None

    lease.write(write)


def _find_faulty_tags(lease: RemovalLease, repository: RepositoryName) -> set[str]:
    """Return the tags that make Distribution 2.8 continue to list deleted tags.

    These are tags that 2.8 fails to read. The tags that the index marks as damaged are read first,
    and all tags only if none of those is faulty. The result is cached: later calls only check that
    one of the tags is still faulty.
    """
    cache = lease.cached_checks.faulty_tags
    faulty_tags = cache.get(str(repository))
    if faulty_tags is None or (faulty_tags and not _is_faulty(repository, min(faulty_tags))):
        faulty_tags = cache[str(repository)] = _read_faulty_tags(lease, repository)
    return faulty_tags


def _is_faulty(repository: RepositoryName, tag: str) -> bool:
    try:
        with suppress(RegistryNotFound):
            registry().head(repository, TagName(tag))
    except RegistryFault:
        return True
    return False


def _read_faulty_tags(lease: RemovalLease, repository: RepositoryName) -> set[str]:
    known_faulty = [
        name for name, damage in damaged_tags_of(repository).items() if damage == "fault"
    ]
    if known_faulty and (faulty_tags := read_in_batches(lease, repository, known_faulty).faulty):
        return faulty_tags
    names = listed_tags(lease, repository)
    return read_in_batches(lease, repository, names).faulty
