"""Parser for the packages in an SBOM, in SPDX or CycloneDX JSON; its content is untrusted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from .untrusted import member, plain_text

#: Maximum number of packages that are read from one SBOM.
MAX_PACKAGES = 20_000
#: Maximum depth of nested CycloneDX components; deeper ones are left out.
MAX_DEPTH = 8
NO_LICENCE = frozenset({"", "NOASSERTION", "NONE"})


@dataclass(frozen=True, slots=True)
class Package:
    """A package in an image. ``type`` is its package URL type (deb, npm, golang …), or ""."""

    name: str
    version: str
    type: str
    license_name: str


def read_packages(document: Any) -> list[Package] | None:
    """Return the packages that an SPDX or CycloneDX document lists.

    Returns:
        The packages, sorted by name and version, or None if the document is in neither format.
    """
    if not isinstance(document, dict):
        return None
    if isinstance(document.get("spdxVersion"), str):
        packages = _read_spdx(document)
    elif document.get("bomFormat") == "CycloneDX":
        packages = _read_cyclonedx(document.get("components"))
    else:
        return None
    first_packages = [package for package, _ in zip(packages, range(MAX_PACKAGES), strict=False)]
    return sorted(first_packages, key=lambda package: (package.name.lower(), package.version))


def _read_spdx(document: dict[str, Any]) -> Iterator[Package]:
    packages = document.get("packages")
    for item in packages if isinstance(packages, list) else []:
        # SPDX also lists the image itself, as the container of the other packages.
        if not isinstance(item, dict) or item.get("primaryPackagePurpose") == "CONTAINER":
            continue
        name = plain_text(item.get("name"), 255)
        if name:
            yield Package(
                name=name,
                version=plain_text(item.get("versionInfo"), 255),
                type=_type_from_purl(_find_spdx_purl(item.get("externalRefs"))),
                license_name=_pick_license(
                    item.get("licenseDeclared"), item.get("licenseConcluded")
                ),
            )


def _find_spdx_purl(references: Any) -> Any:
    for reference in references if isinstance(references, list) else []:
        if member(reference, "referenceType") == "purl":
            return member(reference, "referenceLocator")
    return None


def _read_cyclonedx(components: Any, depth: int = 0) -> Iterator[Package]:
    for item in components if isinstance(components, list) else []:
        if not isinstance(item, dict):
            continue
        name, group = (plain_text(item.get(key), 255) for key in ("name", "group"))
        if name and item.get("type") != "file":
            yield Package(
                name=f"{group}/{name}" if group else name,
                version=plain_text(item.get("version"), 255),
                type=_type_from_purl(item.get("purl")),
                license_name=_read_cyclonedx_licenses(item.get("licenses")),
            )
        if depth < MAX_DEPTH:
            yield from _read_cyclonedx(item.get("components"), depth + 1)


def _read_cyclonedx_licenses(licenses: Any) -> str:
    names = []
    for item in licenses[:20] if isinstance(licenses, list) else []:
        candidates = (member(item, "license", "id"), member(item, "license", "name"))
        names.append(_pick_license(member(item, "expression"), *candidates))
    return ", ".join(filter(None, names))[:255]


def _pick_license(*values: Any) -> str:
    texts = (plain_text(value, 255) for value in values)
    return next((text for text in texts if text not in NO_LICENCE), "")


def _type_from_purl(purl: Any) -> str:
    """Return the type of a package URL (``deb`` for ``pkg:deb/debian/bash@5.2``), or ""."""
    text = plain_text(purl, 1024)
    if not text.startswith("pkg:"):
        return ""
    package_type = unquote(text[4:].lstrip("/").partition("/")[0]).lower()
    return (
        package_type
        if package_type.isascii() and len(package_type) <= 40 and package_type.isprintable()
        else ""
    )
