"""The packages of an image, as the SBOM that is attached to it lists them."""

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
#: So many types are offered for a choice: real images have a handful.
MAX_TYPES = 40


@dataclass(frozen=True, slots=True)
class PackageTable:
    """A page of the packages that match.

    ``types`` are those of all packages with their counts, the most frequent and the one shown.
    """

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
    row = db.session.get(Manifest, digest)
    if row is not None and facts_of(row).kind == "index":
        return sbom_of(image, row, facts_of(row).first_platform)[0]
    around = index_around(image, digest)
    if around is not None:
        return sbom_of(image, around, digest)[0]
    return sbom_of(image, row, "")[0] if row is not None else None


def sbom_of(
    image: ContainerImage, manifest: Manifest, platform: str
) -> tuple[list[Package] | None, str]:
    """Return the packages of a tag's manifest, or None, and what was in the way, or "".

    Args:
        platform: digest of the child of an index; "" for a manifest that is none.
    """
    subjects = [digest for digest in (platform, manifest.digest) if digest]
    index = manifest if platform else None
    found = [a.facts for a in attachments(image, subjects, index) if a.facts is not None]
    layers = [layer for facts in found for layer in facts.layers]
    read, problems = documents(image, layers)
    for layer in layers:
        document = read.get(layer.digest)
        if document is not None and document.kind == "sbom":
            return [Package(*values) for values in document.packages or ()], ""
    return None, next(iter(problems.values()), "")


def package_table(
    packages: Iterable[Package], q: str = "", kind: str | None = None, page: int = 1
) -> PackageTable:
    """Return one page of the packages that match.

    Args:
        q: part of the name, the version or the licence, in whatever case.
        kind: the type that is shown, "" for those of no type; None for all.
    """
    every = list(packages)
    counts = Counter(package.type for package in every)
    types = heapq.nsmallest(MAX_TYPES, counts.items(), key=lambda t: (-t[1], t[0]))
    if kind is not None and kind in counts and kind not in dict(types):
        types.append((kind, counts[kind]))
    wanted = q.casefold()
    found = [
        package
        for package in every
        if kind in (None, package.type)
        and any(wanted in t.casefold() for t in (package.name, package.version, package.licence))
    ]
    pages = max(1, -(-len(found) // PER_PAGE))
    start = (min(page, pages) - 1) * PER_PAGE
    return PackageTable(found[start : start + PER_PAGE], len(found), types)
