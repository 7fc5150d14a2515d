"""Images with attestations, as buildx writes them, and the pages that show them."""

from __future__ import annotations

import json

from tests.support.html import Page
from tests.web.graph import OCI, OCI_INDEX, Graph, sha256

IMAGE = "acme/app"
PAGE = f"/{IMAGE}/-/tags/v1"
IN_TOTO = "application/vnd.in-toto+json"
SPDX, SLSA = "https://spdx.dev/Document", "https://slsa.dev/provenance/v1"
EMPTY = "application/vnd.oci.empty.v1+json"
PACKAGES = [
    {
        "name": name,
        "versionInfo": version,
        "licenseDeclared": license_name,
        "externalRefs": [{"referenceType": "purl", "referenceLocator": f"pkg:{kind}/{name}"}],
    }
    for name, version, license_name, kind in (
        ("zlib", "1.3", "Zlib", "deb"),
        ("bash", "5.2", "GPL-3.0", "deb"),
        ("left-pad", "1.0.0", "NOASSERTION", "npm"),
    )
]
PROVENANCE = {
    "buildDefinition": {
        "buildType": "https://builds.example/v1",
        "externalParameters": {
            "request": {"frontend": "dockerfile.v0", "args": {"target": "prod"}}
        },
        "resolvedDependencies": [
            {
                "uri": "git+https://git.example/a/b@refs/heads/main",
                "digest": {"gitCommit": "c0ffee"},
            }
        ],
    },
    "runDetails": {
        "builder": {"id": "https://builder.example/run/1"},
        "metadata": {"startedOn": "2026-11-02T09:00:00Z", "finishedOn": "2026-11-02T09:05:00Z"},
    },
}


class AttestedGraph(Graph):
    """A registry whose images have attestations, as buildx writes them."""

    def blob(self, body, media_type=IN_TOTO, **annotations):
        """Store a blob; return its descriptor."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.blobs[sha256(data)] = data
        pointer = {"mediaType": media_type, "digest": sha256(data), "size": len(data)}
        return {**pointer, "annotations": annotations} if annotations else pointer

    def statement(self, kind, predicate, about):
        subject = [{"name": "_", "digest": {"sha256": about.partition(":")[2]}}]
        body = {"predicateType": kind, "subject": subject, "predicate": predicate}
        return self.blob(body, **{"in-toto.io/predicate-type": kind})

    def artifact(self, *layers, config=EMPTY, **more):
        pointer = self.blob({}, config)
        document = {"schemaVersion": 2, "config": pointer, "layers": list(layers), **more}
        return self.store(OCI, document)

    def attested(self, *layers, seed="one"):
        """Store an index of an image and the attestation of it; return both digests."""
        image = self.image(seed)
        layers = [layer(image) if callable(layer) else layer for layer in layers]
        proof = self.artifact(*layers)
        children = [
            {"mediaType": OCI, "digest": image, "size": 1, "platform": PLATFORM},
            {
                "mediaType": OCI,
                "digest": proof,
                "size": 1,
                "platform": {"os": "unknown", "architecture": "unknown"},
                "annotations": {
                    "vnd.docker.reference.type": "attestation-manifest",
                    "vnd.docker.reference.digest": image,
                },
            },
        ]
        return self.store(OCI_INDEX, {"schemaVersion": 2, "manifests": children}), image

    def sbom(self, packages, about):
        return self.statement(SPDX, {"spdxVersion": "SPDX-2.3", "packages": packages}, about)


PLATFORM = {"os": "linux", "architecture": "amd64"}


def add_readers(site):
    """Make a project with a Reporter and a Guest; return the site."""
    site.users("reader", "visitor")
    site.project(IMAGE)
    site.member("acme", "reader", "reporter")
    site.member("acme", "visitor", "guest")
    return site


def adopt(site):
    assert site.app.test_cli_runner().invoke(args=["reconcile"]).exit_code == 0


def page(site, url=PAGE, who="reader"):
    answer = site.browser(who).get(url)
    assert answer.status_code == 200, answer.text
    return Page(answer.text)


def attest(site, graph):
    """Push v1 with an SBOM and a provenance, and let the index learn of it; return the site."""
    whole, _ = graph.attested(
        lambda about: graph.sbom(PACKAGES, about),
        lambda about: graph.statement(SLSA, PROVENANCE, about),
    )
    graph.tag(IMAGE, v1=whole)
    adopt(site)
    return site
