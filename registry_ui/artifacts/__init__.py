"""Artifacts attached to images: signatures, attestations, SBOMs, and other referrers."""
