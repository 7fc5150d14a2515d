"""What an SBOM lists: packages, read without trust from SPDX and CycloneDX JSON."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Package:
    """A package of an image. ``type`` is that of its purl (deb, npm, golang …); "" if unknown."""

    name: str
    version: str
    type: str
    licence: str
