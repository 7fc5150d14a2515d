"""The packages of an image, as the SBOM that is attached to it lists them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ..distribution.sbom import Package
from ..extensions import db
from ..models import AttachedDocument, ContainerImage, Manifest
from .attachments import attachments, index_around
from .documents import documents
from .facts import facts_of

__all__ = ["Package", "PackageTable", "package_table", "packages_of"]

PER_PAGE = 100


@dataclass(frozen=True, slots=True)
class PackageTable:
    """A page of the packages that match. ``types`` are those of all packages, with counts."""

    rows: list[Package]
    total: int
    types: list[tuple[str, int]]


def packages_of(image: ContainerImage, digest: str) -> list[Package] | None:
    """Return the packages of one image, by name; None where no SBOM can be read.

    The SBOM is fetched once and then known: at most a few calls, and never an error for
    trouble with the registry.

    Args:
        image: where the SBOM is looked for. The caller has asked for the pull right.
        digest: of the image's manifest, or of an index, whose first platform then counts.
    """
    for document in _documents_of(image, digest):
        if document.kind == "sbom":
            return [Package(*values) for values in document.packages or ()]
    return None


def package_table(
    packages: Iterable[Package], q: str = "", kind: str = "", page: int = 1
) -> PackageTable:
    """Return one page of the packages that match.

    Args:
        q: part of the name, the version or the licence, in whatever case.
        kind: the type that is shown; "" for all.
    """
    every = list(packages)
    types = sorted(Counter(package.type for package in every).items(), key=lambda t: (-t[1], t[0]))
    wanted = q.casefold()
    found = [
        package
        for package in every
        if (not kind or package.type == kind)
        and any(wanted in t.casefold() for t in (package.name, package.version, package.licence))
    ]
    start = (page - 1) * PER_PAGE
    return PackageTable(found[start : start + PER_PAGE], len(found), types)


def _documents_of(image: ContainerImage, digest: str) -> list[AttachedDocument]:
    row = db.session.get(Manifest, digest)
    facts = facts_of(row) if row is not None else None
    subjects, index = [digest], row
    if facts is not None and facts.kind == "index":
        platforms = (child.digest for child in facts.children if not child.is_attestation)
        subjects += list(platforms)[:1]
    else:
        index = index_around(image, digest)
    found = [a.facts for a in attachments(image, subjects, index) if a.facts is not None]
    layers = [layer for each in found for layer in each.layers]
    read, _ = documents(image, layers)
    return [read[layer.digest] for layer in layers if layer.digest in read]
