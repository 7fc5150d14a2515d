"""Cache of parsed SBOMs and attestations.

Each document is fetched once from the image's repository and then kept in the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import select

from ..db.prepared import insert_if_absent
from ..db.session import db, writing
from ..distribution.client import MAX_DOCUMENT
from ..distribution.errors import RegistryError
from ..distribution.manifest import Descriptor
from ..distribution.statement import can_be_read, read_statement
from ..manifests.batch_calls import blob_call, call_once
from ..models import AttachedDocument, ContainerImage, utc_now
from ..names import RepositoryName
from ..page_call_budget import page_end

#: Maximum number of documents fetched for one page. Few images have more than an SBOM and
#: provenance.
MAX_FETCHED = 8


def readable(layers: Iterable[Descriptor]) -> list[Descriptor]:
    """Return the layers to fetch: SBOMs and provenance up to a size limit, at most MAX_FETCHED.

    Args:
        layers: layers of the manifests that are attached to an image.
    """
    matches = [layer for layer in layers if can_be_read(layer) and layer.size <= MAX_DOCUMENT]
    return matches[:MAX_FETCHED]


def documents(
    image: ContainerImage, layers: Iterable[Descriptor]
) -> tuple[dict[str, AttachedDocument], dict[str, str]]:
    """Return the parsed documents in these layers, fetching those that are not cached.

    The caller must have checked the right to pull the image.

    Args:
        image: the image to which the documents are attached.
        layers: layers of the attached manifests. Only SBOMs and provenance are read.

    Returns:
        The documents by digest, and error messages by digest. Registry errors are never raised.
    """
    digests = {layer.digest for layer in readable(layers)}
    if not digests:
        return {}, {}
    rows = _load_documents(image, digests)
    missing = digests - rows.keys()
    problems: dict[str, RegistryError] = {}
    if missing:
        repository = RepositoryName(image.path)
        calls = {digest: blob_call(repository, digest) for digest in missing}
        results = call_once(repository, calls, page_end())
        problems = results.problems
        _store_documents(image, results.answers)
        rows = _load_documents(image, digests)
    return rows, {digest: str(problem) for digest, problem in problems.items()}


def _load_documents(image: ContainerImage, digests: set[str]) -> dict[str, AttachedDocument]:
    query = select(AttachedDocument).where(
        AttachedDocument.image_id == image.id, AttachedDocument.digest.in_(digests)
    )
    return {row.digest: row for row in db.session.scalars(query)}


def _store_documents(image: ContainerImage, bodies: Mapping[str, bytes]) -> None:
    if not bodies:
        return
    # Parse the documents before the transaction, because a transaction that writes blocks all
    # other writes.
    statements = {digest: read_statement(body) for digest, body in bodies.items()}
    with writing() as session:
        if session.get(ContainerImage, image.id) is None:
            return  # The image was deleted in the meantime.
        for digest, statement in statements.items():
            packages = statement.packages
            insert_if_absent(
                session,
                AttachedDocument,
                image_id=image.id,
                digest=digest,
                kind=statement.kind,
                summary=statement.summary,
                packages=[[p.name, p.version, p.type, p.license_name] for p in packages or ()]
                or None,
                read_at=utc_now(),
            )
