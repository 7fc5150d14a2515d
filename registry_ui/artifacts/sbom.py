"""Packages of an image, from the SBOM that is attached to it."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ..db.session import db
from ..distribution.sbom import Package
from ..manifests.store import facts_of
from ..models import ContainerImage, Manifest
from .attestations import documents
from .referrers import attachments, index_around

__all__ = ["Package", "PackageTable", "package_table", "packages_of", "sbom_of"]

PER_PAGE = 100
#: Maximum number of entries in the type filter. Real images have a handful of types.
MAX_TYPES = 40


@dataclass(frozen=True, slots=True)
class PackageTable:
    """One page of matching packages.

    ``rows`` are the packages on the page, ``total`` is the number on all pages. ``types`` are the
    most frequent types and the selected one, with their counts among all packages.
    """

    rows: list[Package]
    total: int
    types: list[tuple[str, int]]


def packages_of(image: ContainerImage, digest: str) -> list[Package] | None:
    """Return the packages of an image sorted by name, or None if no SBOM can be read.

    The SBOM is fetched with a few registry calls at most and then cached. Registry errors are never
    raised.

    Args:
        image: the image whose repository is searched for an SBOM. The caller must have checked
            the right to pull it.
        digest: digest of a manifest or of an OCI index. The first platform of an index is used.
    """
    row = db.session.get(Manifest, digest)
    if row is not None and facts_of(row).kind == "index":
        return sbom_of(image, row, facts_of(row).first_platform)[0]
    index = index_around(image, digest)
    if index is not None:
        return sbom_of(image, index, digest)[0]
    return sbom_of(image, row, "")[0] if row is not None else None


def sbom_of(
    image: ContainerImage, manifest: Manifest, platform: str
) -> tuple[list[Package] | None, str]:
    """Return the packages in the SBOM of a manifest or of one platform of an OCI index.

    Args:
        image: the image whose repository is searched for an SBOM.
        manifest: manifest or OCI index that a tag points to.
        platform: digest of a platform's manifest if ``manifest`` is an index; otherwise "".

    Returns:
        The packages, or None if there is no readable SBOM, and an error message, or "".
    """
    subjects = [digest for digest in (platform, manifest.digest) if digest]
    index = manifest if platform else None
    all_facts = [a.facts for a in attachments(image, subjects, index) if a.facts is not None]
    layers = [layer for facts in all_facts for layer in facts.layers]
    documents_by_digest, problems = documents(image, layers)
    for layer in layers:
        document = documents_by_digest.get(layer.digest)
        if document is not None and document.kind == "sbom":
            return [Package(*values) for values in document.packages or ()], ""
    return None, next(iter(problems.values()), "")


def package_table(
    packages: Iterable[Package], q: str = "", kind: str | None = None, page: int = 1
) -> PackageTable:
    """Return one page of the packages that match a search text and a type.

    Args:
        packages: all packages of an image.
        q: case-insensitive substring of the name, version, or license.
        kind: type to show; "" for packages without a type, None for all.
        page: page number, starting at 1. Numbers that are too large show the last page.
    """
    all_packages = list(packages)
    counts = Counter(package.type for package in all_packages)
    types = heapq.nsmallest(MAX_TYPES, counts.items(), key=lambda t: (-t[1], t[0]))
    if kind is not None and kind in counts and kind not in dict(types):
        types.append((kind, counts[kind]))
    text = q.casefold()
    matches = [
        package
        for package in all_packages
        if kind in (None, package.type)
        and any(text in t.casefold() for t in (package.name, package.version, package.license_name))
    ]
    pages = max(1, -(-len(matches) // PER_PAGE))
    start = (min(page, pages) - 1) * PER_PAGE
    return PackageTable(matches[start : start + PER_PAGE], len(matches), types)
