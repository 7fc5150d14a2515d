"""Parse the request that the reverse proxy asks about: a method and a URL of the registry.

The registry decodes a URL once, and redirects a URL that is not in canonical form. The gate does
not normalize such a URL but refuses it, so that the gate and the registry never interpret the same
URL differently.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_to_bytes

from werkzeug.datastructures import Headers

from ..access import Permission
from ..errors import Denied
from ..names import DIGEST, NAME, TAG, Digest, NameInvalid, RepositoryName, TagName

#: Headers with the method and the URL of the client's request. Our nginx configuration sets the
#: first pair; Traefik and Caddy send the second pair by default.
HEADERS = (
    ("X-Original-Method", "X-Original-URI"),
    ("X-Forwarded-Method", "X-Forwarded-Uri"),
)
#: Methods that pass without a check, because they change no manifest.
UNCHECKED_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PATCH"})
ACTIONS = {"PUT": Permission.PUSH, "DELETE": Permission.DELETE}
_MANIFEST = re.compile(rf"/v2/({NAME})/manifests/({DIGEST}|{TAG})")
_UPLOAD = re.compile(rf"/v2/{NAME}/blobs/uploads/[A-Za-z0-9_=-]+")
_BLOB = re.compile(rf"/v2/({NAME})/blobs/({DIGEST})")

AMBIGUOUS_REQUEST = "the question to the gate lacks the request to the registry, or names two"
NOT_CANONICAL = "the gate takes plain addresses of manifests only"


@dataclass(frozen=True, slots=True)
class GateRequest:
    """A push or deletion of a manifest, or a deletion of a blob, that the gate must decide on."""

    action: Permission
    repository: RepositoryName
    reference: TagName | Digest
    is_blob: bool = False


def read(headers: Headers) -> GateRequest | None:
    """Return the request to check, or None if it changes neither a manifest nor a stored blob.

    Args:
        headers: headers of the proxy's request to the gate.

    Raises:
        Denied: the method or the URL is missing, both pairs of headers are present (the client may
            have sent one of them), or the URL is not in canonical form.
    """
    pairs = [pair for pair in HEADERS if any(name in headers for name in pair)]
    if len(pairs) != 1 or not all(name in headers for name in pairs[0]):
        raise Denied(AMBIGUOUS_REQUEST)
    method, uri = (headers[name] for name in pairs[0])
    if method in UNCHECKED_METHODS:
        return None
    path, _, query = uri.partition("?")
    if _UPLOAD.fullmatch(path):
        return None
    if any(name == "tag" for name, _ in parse_qsl(query, keep_blank_values=True)):
        # Future registries may accept tags in `?tag=`, which the rules would not see.
        raise Denied(NOT_CANONICAL)
    return _parse_request(method, unquote_to_bytes(path).decode("ascii", "replace"))


def _parse_request(method: str, path: str) -> GateRequest:
    manifest, blob = _MANIFEST.fullmatch(path), None
    if method == "DELETE":
        blob = _BLOB.fullmatch(path)
    match = manifest or blob
    if match is None or method not in ACTIONS:
        raise Denied(NOT_CANONICAL)
    name, reference = match.groups()
    try:
        repository = RepositoryName(name)
    except NameInvalid:
        raise Denied(NOT_CANONICAL) from None
    is_digest = ":" in reference
    kind = Digest if is_digest else TagName
    return GateRequest(ACTIONS[method], repository, kind(reference), is_blob=manifest is None)
