"""What the reverse proxy asks about: a method and an address of the registry, read strictly.

The registry, written in Go, decodes an address once and redirects what is not plain. Here
nothing is mended: what is not plain is refused, so that gate and registry never read one
address as two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_to_bytes

from werkzeug.datastructures import Headers

from ..access import Permission
from ..errors import Denied
from ..names import DIGEST, NAME, TAG, Digest, NameInvalid, RepositoryName, TagName

#: nginx is told to send the first two, Traefik and Caddy send the others by themselves.
HEADERS = (
    ("X-Original-Method", "X-Original-URI"),
    ("X-Forwarded-Method", "X-Forwarded-Uri"),
)
#: These change no manifest.
PASSING = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PATCH"})
ACTIONS = {"PUT": Permission.PUSH, "DELETE": Permission.DELETE}
_MANIFEST = re.compile(rf"/v2/({NAME})/manifests/({DIGEST}|{TAG})")
_UPLOAD = re.compile(rf"/v2/{NAME}/blobs/uploads/[A-Za-z0-9_=-]+")
_BLOB = re.compile(rf"/v2/({NAME})/blobs/({DIGEST})")

NOT_TOLD = "the gate was not told, or was told twice, what is asked of the registry"
NOT_PLAIN = "the gate takes plain addresses of manifests only"


@dataclass(frozen=True, slots=True)
class GateRequest:
    """A manifest that somebody wants to push or to delete, or a blob to delete."""

    action: Permission
    repository: RepositoryName
    reference: TagName | Digest
    is_blob: bool = False


def read(headers: Headers) -> GateRequest | None:
    """Return what is asked for; None for what changes neither a manifest nor a stored blob.

    Raises:
        Denied: the proxy did not say what it is, or a client said it too; or the address
            is none that the registry would take as it stands.
    """
    told = [pair for pair in HEADERS if any(name in headers for name in pair)]
    if len(told) != 1 or not all(name in headers for name in told[0]):
        raise Denied(NOT_TOLD)
    method, uri = (headers[name] for name in told[0])
    if method in PASSING:
        return None
    path, _, query = uri.partition("?")
    if _UPLOAD.fullmatch(path):
        return None
    if any(name == "tag" for name, _ in parse_qsl(query, keep_blank_values=True)):
        # A registry of tomorrow may take tags from there, and no rule would see them.
        raise Denied(NOT_PLAIN)
    return _asked(method, unquote_to_bytes(path).decode("ascii", "replace"))


def _asked(method: str, path: str) -> GateRequest:
    manifest, blob = _MANIFEST.fullmatch(path), None
    if method == "DELETE":
        blob = _BLOB.fullmatch(path)
    found = manifest or blob
    if found is None or method not in ACTIONS:
        raise Denied(NOT_PLAIN)
    name, reference = found.groups()
    try:
        repository = RepositoryName(name)
    except NameInvalid:
        raise Denied(NOT_PLAIN) from None
    is_digest = ":" in reference
    kind = Digest if is_digest else TagName
    return GateRequest(ACTIONS[method], repository, kind(reference), is_blob=manifest is None)
