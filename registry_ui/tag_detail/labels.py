"""User-visible labels for OCI annotation keys, and for media types of common artifacts."""

from __future__ import annotations

from collections.abc import Iterable

from ..distribution.statement import SIGSTORE
from .view_models import Labeled

PREFIX = "org.opencontainers.image."
#: Labels of the annotation keys of the OCI image specification; the keys here omit PREFIX.
LABELS = {
    "created": "Created",
    "authors": "Authors",
    "url": "Website",
    "documentation": "Documentation",
    "source": "Source",
    "version": "Version",
    "revision": "Revision",
    "vendor": "Vendor",
    "licenses": "Licenses",
    "ref.name": "Reference",
    "title": "Title",
    "description": "Description",
    "base.digest": "Base image digest",
    "base.name": "Base image",
}
ARTIFACTS = {
    "application/spdx+json": "SBOM (SPDX)",
    "text/spdx+json": "SBOM (SPDX)",
    "application/vnd.cyclonedx+json": "SBOM (CycloneDX)",
    "application/vnd.in-toto+json": "in-toto attestation",
    "application/vnd.docker.attestation.manifest.v1+json": "Attestation of buildx",
    "application/vnd.dev.cosign.artifact.sig.v1+json": "Signature of cosign",
    "application/vnd.cncf.notary.signature": "Signature of Notary",
    "application/sarif+json": "Scan result (SARIF)",
    "application/vnd.cncf.helm.config.v1+json": "Helm chart",
    "application/vnd.wasm.config.v0+json": "WebAssembly module",
    "application/vnd.wasm.config.v1+json": "WebAssembly module",
    "application/vnd.cncf.openpolicyagent.config.v1+json": "Policy of Open Policy Agent",
    "application/vnd.cncf.flux.config.v1+json": "Flux source",
    "application/vnd.unknown.artifact.v1": "Files without a type",
}
KINDS = {"signature": "Signature", "attestation": "Attestation", "artifact": "Artifact"}
#: Labels of cosign's digest tags, by the suffix of the tag.
TAGS = {"sig": "Signature of cosign", "att": "Attestation of cosign", "sbom": "SBOM"}
PREDICATES = {
    "https://spdx.dev/Document": "SBOM (SPDX)",
    "https://cyclonedx.org/": "SBOM (CycloneDX)",
    "https://slsa.dev/provenance/": "Provenance (SLSA)",
    "https://slsa.dev/verification_summary/": "Verification summary (SLSA)",
    "https://openvex.dev/": "Vulnerabilities that do not apply (OpenVEX)",
    "https://cosign.sigstore.dev/attestation/vuln/": "Vulnerability scan",
}


def labeled(pairs: Iterable[tuple[str, str]]) -> list[Labeled]:
    """Return image labels or annotations, sorted by key, with descriptions of standard keys."""
    return [Labeled(key, value, _label(key)) for key, value in sorted(pairs)]


def artifact(media_type: str) -> str:
    """Return a label for a known artifact type; "" for an unknown one."""
    if media_type.startswith(SIGSTORE):
        return "Sigstore bundle"
    return ARTIFACTS.get(media_type, "")


def referrer(kind: str, artifact_type: str, tag: str) -> str:
    """Return a label for a referrer: by its artifact type, else by its tag, else by its kind.

    Args:
        kind: a key of KINDS; any other kind gets the label "Attached".
        artifact_type: the artifact type; "" if there is none.
        tag: the digest tag of the referrer, such as ``sha256-….sig``; "" if it has none.
    """
    return (
        artifact(artifact_type)
        or TAGS.get(tag.rpartition(".")[2], "")
        or KINDS.get(kind, "Attached")
    )


def predicate(predicate_type: str) -> str:
    """Return a label for an in-toto predicate type; an unknown type is returned unchanged."""
    for prefix, label in PREDICATES.items():
        if predicate_type.startswith(prefix):
            return label
    return predicate_type


def _label(key: str) -> str:
    return LABELS.get(key.removeprefix(PREFIX), "") if key.startswith(PREFIX) else ""
