"""Media types of manifests, OCI indexes, and build caches."""

from __future__ import annotations

INDEX_TYPES = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
IMAGE_TYPES = frozenset(
    {
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    }
)
#: Accept header for manifests. It must include the index types: without them, the registry
#: silently serves a child, with the child's digest, instead of a manifest list (PROTOCOLS 4.2).
ACCEPT = ", ".join(sorted(INDEX_TYPES | IMAGE_TYPES))

SIGNED_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
#: Media types of schema 1 manifests, which a Distribution 2.8 registry can still hold.
OLD_TYPES = frozenset({"application/vnd.docker.distribution.manifest.v1+json", SIGNED_SCHEMA_1})

#: Media types of everything that the registry stores as a manifest. An entry of an OCI index with
#: any other type is a blob. Distribution 2.8 accepts an index that lists blobs, and deletes such a
#: blob if a client requests the deletion of a manifest with its digest.
MANIFEST_TYPES = INDEX_TYPES | IMAGE_TYPES | OLD_TYPES

#: Media type of the config of BuildKit's registry cache, which an OCI index (older form) or a
#: manifest lists.
BUILD_CACHE = "application/vnd.buildkit.cacheconfig.v0"

#: Substrings of the media types of foreign layers. Clients fetch foreign layers from a different
#: server, so the registry does not need to have them.
_FOREIGN_PARTS = (".foreign.", ".nondistributable.")


def is_foreign(media_type: str) -> bool:
    """Return whether layers of this type are foreign: the registry does not need to have them."""
    return any(word in media_type for word in _FOREIGN_PARTS)
