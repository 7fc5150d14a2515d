"""The media types of manifests, as the registry and its clients name them."""

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
#: All four: without the lists the registry silently serves a child in place of a
#: manifest list, with the child's digest (PROTOCOLS 4.2).
ACCEPT = ", ".join(sorted(INDEX_TYPES | IMAGE_TYPES))

SIGNED_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
#: Schema 1, which 2.8 may still hold.
OLD_TYPES = frozenset({"application/vnd.docker.distribution.manifest.v1+json", SIGNED_SCHEMA_1})

#: Everything that the registry stores as a manifest. An entry of an index with any other type
#: is a blob: 2.8 takes it, and deletes the blob if asked to delete it as a manifest.
MANIFEST_TYPES = INDEX_TYPES | IMAGE_TYPES | OLD_TYPES

#: The config of BuildKit's registry cache, in an index (the older form) or in a manifest.
BUILD_CACHE = "application/vnd.buildkit.cacheconfig.v0"

#: Layers that clients may fetch from elsewhere: the registry need not have them.
_ELSEWHERE = (".foreign.", ".nondistributable.")


def lies_elsewhere(media_type: str) -> bool:
    """Whether a layer of this type need not be in the registry."""
    return any(word in media_type for word in _ELSEWHERE)
