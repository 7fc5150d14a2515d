"""What SBOMs and attestations say: each read once from the image's repository, kept for ever."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import select

from ..db.prepared import insert_if_absent
from ..db.session import db, writing
from ..distribution.client import MAX_DOCUMENT
from ..distribution.errors import RegistryError
from ..distribution.manifest import Descriptor
from ..distribution.statement import may_be_read, read_statement
from ..manifests.store import blob_call, call_once
from ..models import AttachedDocument, ContainerImage, utc_now
from ..names import RepositoryName
from ..page_call_budget import page_end

#: So many are fetched for one page; an image with more than an SBOM and provenance is rare.
MAX_FETCHED = 8


def readable(layers: Iterable[Descriptor]) -> list[Descriptor]:
    """Return the layers that are worth fetching: an SBOM or provenance, and not too large."""
    found = [layer for layer in layers if may_be_read(layer) and layer.size <= MAX_DOCUMENT]
    return found[:MAX_FETCHED]


def documents(
    image: ContainerImage, layers: Iterable[Descriptor]
) -> tuple[dict[str, AttachedDocument], dict[str, str]]:
    """Return what these layers say, by digest, and what is in the way, by digest.

    What was read before is not fetched again. Never raises for trouble with the registry.
    The caller has asked for the pull right.
    """
    wanted = {layer.digest for layer in readable(layers)}
    if not wanted:
        return {}, {}
    found = _read_before(image, wanted)
    missing = wanted - found.keys()
    problems: dict[str, RegistryError] = {}
    if missing:
        repository = RepositoryName(image.path)
        calls = {digest: blob_call(repository, digest) for digest in missing}
        bodies = call_once(repository, calls, page_end(), problems)
        _store(image, bodies)
        found = _read_before(image, wanted)
    return found, {digest: str(problem) for digest, problem in problems.items()}


def _read_before(image: ContainerImage, digests: set[str]) -> dict[str, AttachedDocument]:
    query = select(AttachedDocument).where(
        AttachedDocument.image_id == image.id, AttachedDocument.digest.in_(digests)
    )
    return {row.digest: row for row in db.session.scalars(query)}


def _store(image: ContainerImage, bodies: Mapping[str, bytes]) -> None:
    if not bodies:
        return
    # What others wrote is read before the transaction that everybody waits for.
    read = {digest: read_statement(body) for digest, body in bodies.items()}
    with writing() as session:
        if session.get(ContainerImage, image.id) is None:
            return  # it went meanwhile
        for digest, statement in read.items():
            packages = statement.packages
            insert_if_absent(
                session,
                AttachedDocument,
                image_id=image.id,
                digest=digest,
                kind=statement.kind,
                summary=statement.summary,
                packages=[[p.name, p.version, p.type, p.licence] for p in packages or ()] or None,
                read_at=utc_now(),
            )
