"""Builders of artifacts other than images: attestations, signatures, Helm charts, and files.

As in `images`, the same arguments give the same digests. The formats are those of
BuildKit's docs/attestations/attestation-storage.md, cosign's
specs/SIGNATURE_SPEC.md, and Helm's pkg/registry (PROTOCOLS.md 4.4)::

    amd, arm = image(layers), image(layers, platform="linux/arm64")
    both = index([amd, arm, attestation(amd), attestation(arm)])
    proof = signature(both, "example.test/group/project")   # its tag: signature_tag(both)
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .images import (
    BUILT,
    OCI,
    UNKNOWN,
    Blob,
    Image,
    Manifest,
    encode,
    gzipped,
    manifest_body,
    rfc3339,
    tar,
)

IN_TOTO = "application/vnd.in-toto+json"
SPDX = "https://spdx.dev/Document"
SLSA = "https://slsa.dev/provenance/v0.2"
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
HELM_CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"
#: Parts of package names, for the invented packages that the SBOMs list.
FRUITS = (
    *("apple", "cherry", "damson", "elder", "fig", "grape", "lime", "medlar", "pear", "plum"),
    *("quince", "rowan", "sloe"),
)
#: For each package URL type, the patterns of package names, and the license of the packages.
PACKAGE_KINDS = {
    "deb": (("lib{}", "lib{}-common", "{}-utils", "{}-data"), "GPL-2.0-or-later"),
    "pypi": (("py{}", "{}-client"), "MIT"),
    "npm": (("{}-pad", "@orchard/{}"), "ISC"),
    "golang": (("git.example.test/orchard/{}",), "Apache-2.0"),
}
ATTESTATION_ARTIFACT = "application/vnd.docker.attestation.manifest.v1+json"


def attestation(image: Image, *, artifact: bool = False) -> Manifest:
    """Return the attestation manifest of an image, as buildx puts it into the image's OCI index.

    The manifest contains an SPDX SBOM and SLSA provenance. ``artifact`` selects the newer form:
    artifactType, ``subject``, and the empty config in place of an image config.
    """
    statements = [
        _build_statement(SPDX, image, _build_sbom(image)),
        _build_statement(SLSA, image, _build_provenance(image)),
    ]
    members: dict[str, object] = {}
    if artifact:
        config = Blob(EMPTY, b"{}")
        subject = {"mediaType": image.media_type, "digest": image.digest, "size": len(image.data)}
        members = {"artifactType": ATTESTATION_ARTIFACT, "subject": subject}
    else:
        diff_ids = [blob.digest for blob in statements]
        rootfs = {"type": "layers", "diff_ids": diff_ids}
        config = Blob(OCI.config, encode({**UNKNOWN.json, "config": {}, "rootfs": rootfs}))
    blobs = (config, *statements)
    return Manifest(
        OCI.manifest,
        encode(manifest_body(OCI.manifest, blobs, members=members)),
        annotations={
            "vnd.docker.reference.digest": image.digest,
            "vnd.docker.reference.type": "attestation-manifest",
        },
        blobs=blobs,
        platform=UNKNOWN,
    )


def _build_statement(predicate_type: str, image: Image, predicate: object) -> Blob:
    statement = {
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": predicate_type,
        "subject": [{"name": "_", "digest": {"sha256": image.digest.partition(":")[2]}}],
        "predicate": predicate,
    }
    return Blob(IN_TOTO, encode(statement), {"in-toto.io/predicate-type": predicate_type})


def _build_packages() -> list[dict[str, object]]:
    """Return the invented SPDX packages of every SBOM: several types, too many for one page."""
    packages: list[dict[str, object]] = []
    for number, fruit in enumerate(FRUITS):
        for kind, (names, license_id) in PACKAGE_KINDS.items():
            for name in names:
                version = f"{number % 4 + 1}.{number}.{len(packages) % 7}"
                package = name.format(fruit)
                packages.append(
                    {
                        "SPDXID": f"SPDXRef-Package-{kind}-{package}",
                        "name": package,
                        "versionInfo": version,
                        "downloadLocation": "NOASSERTION",
                        "filesAnalyzed": False,
                        "licenseConcluded": "NOASSERTION",
                        "licenseDeclared": license_id,
                        "externalRefs": [
                            {
                                "referenceCategory": "PACKAGE-MANAGER",
                                "referenceType": "purl",
                                "referenceLocator": f"pkg:{kind}/{package}@{version}",
                            }
                        ],
                    }
                )
    return packages


def _build_sbom(image: Image) -> object:
    """Return an SPDX 2.3 document like those of BuildKit's SBOM scanner."""
    return {
        "SPDXID": "SPDXRef-DOCUMENT",
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "name": "sbom",
        "documentNamespace": f"https://example.test/spdx/{image.digest.partition(':')[2]}",
        "creationInfo": {"created": rfc3339(BUILT), "creators": ["Tool: registry_ui-demo"]},
        "packages": _build_packages(),
    }


def _build_provenance(image: Image) -> object:
    """Return SLSA 0.2 provenance in the format that BuildKit writes."""
    return {
        "builder": {"id": "https://ci.example.test/orchard/runs/2026"},
        "buildType": "https://mobyproject.org/buildkit@v1",
        "materials": [
            {
                "uri": f"pkg:docker/orchard@12?platform={image.platform}",
                "digest": {"sha256": image.layers[0].diff_id.partition(":")[2]},
            }
        ],
        "invocation": {
            "configSource": {"entryPoint": "Dockerfile"},
            "parameters": {
                "frontend": "dockerfile.v0",
                "args": {"build-arg:ORCHARD_VERSION": "12", "target": "runtime"},
            },
            "environment": {"platform": str(image.platform)},
        },
        "metadata": {
            "buildStartedOn": rfc3339(BUILT - timedelta(minutes=1)),
            "buildFinishedOn": rfc3339(BUILT),
            "completeness": {"parameters": True, "environment": True, "materials": False},
            "reproducible": True,
            "https://mobyproject.org/buildkit@v1#metadata": {
                "vcs": {
                    "source": "https://git.example.test/orchard/base",
                    "revision": "9b1d64e2f5a7c8133f9a1c27b6e04d5588f2c7a9",
                }
            },
        },
    }


def signature_tag(manifest: Manifest) -> str:
    """Return the tag under which cosign stores the signature: ``sha256-<hex>.sig``."""
    return manifest.digest.replace(":", "-") + ".sig"


def signing_key() -> Ed25519PrivateKey:
    """Return the fixed private key that `signature` uses; its signatures prove nothing."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"registry_ui demo").digest())


def signature(manifest: Manifest, reference: str) -> Manifest:
    """Return a cosign signature of a manifest, to be pushed under the tag of `signature_tag`.

    ``reference`` is the repository name with its host, as the signer gave it. The
    signature can be verified with the public key of `signing_key`.
    """
    claim = {
        "critical": {
            "identity": {"docker-reference": reference},
            "image": {"docker-manifest-digest": manifest.digest},
            "type": "cosign container image signature",
        },
        "optional": None,
    }
    payload = json.dumps(claim, separators=(",", ":")).encode()
    signature_text = base64.b64encode(signing_key().sign(payload)).decode()
    payload_blob = Blob(
        SIMPLE_SIGNING, payload, {"dev.cosignproject.cosign/signature": signature_text}
    )
    # cosign sets these times to zero, and pages must show them as "not recorded".
    zero = "0001-01-01T00:00:00Z"
    config = {
        "architecture": "",
        "created": zero,
        "history": [{"created": zero}],
        "os": "",
        "rootfs": {"type": "layers", "diff_ids": [payload_blob.digest]},
        "config": {},
    }
    blobs = (Blob(OCI.config, encode(config)), payload_blob)
    return Manifest(OCI.manifest, encode(manifest_body(OCI.manifest, blobs)), blobs=blobs)


def chart(metadata: Mapping[str, object], files: Mapping[str, str]) -> Manifest:
    """Return a Helm chart as ``helm push`` uploads it.

    ``metadata`` is the content of Chart.yaml (apiVersion, name, version, description …);
    ``files`` maps the paths of the chart's other files, relative to its folder, to their text.
    """
    name, version = str(metadata["name"]), str(metadata["version"])
    # A JSON value is valid YAML.
    chart_yaml = "".join(f"{key}: {json.dumps(text)}\n" for key, text in metadata.items())
    content = {"Chart.yaml": chart_yaml, **files}
    archive = gzipped(tar({f"{name}/{path}": text for path, text in content.items()}))
    blobs = (Blob(HELM_CONFIG, json.dumps(dict(metadata)).encode()), Blob(HELM_CHART, archive))
    annotations = {
        "org.opencontainers.image.created": rfc3339(BUILT),
        "org.opencontainers.image.description": str(metadata.get("description", "")),
        "org.opencontainers.image.title": name,
        "org.opencontainers.image.version": version,
    }
    body = manifest_body(OCI.manifest, blobs, annotations)
    return Manifest(OCI.manifest, encode(body), blobs=blobs)


def artifact(
    files: Mapping[str, bytes], artifact_type: str = "application/vnd.example.notes"
) -> Manifest:
    """Return files as ORAS pushes them: one layer per file, with the file name as its title."""
    layers = [
        Blob("application/octet-stream", data, {"org.opencontainers.image.title": name})
        for name, data in files.items()
    ]
    blobs = (Blob(EMPTY, b"{}"), *layers)
    annotations = {"org.opencontainers.image.created": rfc3339(BUILT)}
    members = {"artifactType": artifact_type}
    body = manifest_body(OCI.manifest, blobs, annotations, members)
    return Manifest(OCI.manifest, encode(body), blobs=blobs)
