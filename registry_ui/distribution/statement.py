"""Parser for documents attached to an image: SBOMs, provenance, and other in-toto statements.

An SBOM is either a plain document or the predicate of an in-toto statement. A statement is
either plain or in a signed envelope (DSSE or Sigstore bundle). The content is untrusted, and
signatures are not verified here.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from .errors import InvalidRegistryResponse
from .manifest import DSSE, IN_TOTO, Descriptor
from .provenance import read_provenance
from .sbom import Package, read_packages
from .untrusted import TOO_MANY, TooManyParts, count_parts, member, parse_json, plain_text

#: Maximum number of JSON members and objects in a document, approximately. It is eight times the
#: limit of manifests, because SBOMs also list files and relations. Parsing that many takes 0.2 s.
MAX_PARTS = 400_000
#: Maximum number of subjects of an in-toto statement that are kept.
MAX_SUBJECTS = 16
SIGSTORE = "application/vnd.dev.sigstore.bundle"
SBOM_TYPES = frozenset(
    {"application/spdx+json", "text/spdx+json", "application/vnd.cyclonedx+json"}
)
SBOM_PREDICATES = ("https://spdx.dev/Document", "https://cyclonedx.org/")
PROVENANCE_PREDICATES = ("https://slsa.dev/provenance/",)


@dataclass(frozen=True, slots=True)
class Statement:
    """The parsed content of an attached document.

    ``kind`` is sbom, provenance, statement, or unreadable. ``summary`` is the JSON object that a
    page shows. ``packages`` is None unless the document is an SBOM.
    """

    kind: str
    summary: dict[str, Any] = field(default_factory=dict)
    packages: list[Package] | None = None


def can_be_read(layer: Descriptor) -> bool:
    """Return whether a layer can be an SBOM or provenance, so that it is worth fetching.

    The media type of the layer decides, together with the predicate type if the layer has one.
    """
    is_wrapped = layer.media_type in {IN_TOTO, DSSE} or layer.media_type.startswith(SIGSTORE)
    if layer.media_type in SBOM_TYPES:
        return True
    predicates = (*SBOM_PREDICATES, *PROVENANCE_PREDICATES)
    return is_wrapped and (not layer.predicate_type or layer.predicate_type.startswith(predicates))


def read_statement(body: bytes) -> Statement:
    """Parse an attached document. Invalid content does not raise an exception.

    Returns:
        The statement. If the document can't be parsed, its kind is unreadable.
    """
    try:
        document = _unwrap(_parse(body))
    except TooManyParts:
        return Statement("unreadable", {"problem": TOO_MANY})
    except InvalidRegistryResponse:
        return Statement("unreadable", {"problem": "it is not JSON"})
    predicate_type = plain_text(member(document, "predicateType"), 255)
    summary: dict[str, Any] = {
        "predicate_type": predicate_type,
        "subjects": _read_subjects(document),
    }
    content = member(document, "predicate") if predicate_type else document
    if predicate_type.startswith(PROVENANCE_PREDICATES):
        return Statement(
            "provenance", {**summary, "provenance": read_provenance(content).to_json()}
        )
    packages = read_packages(content)
    if packages is None and predicate_type.startswith(SBOM_PREDICATES):
        packages = read_packages(member(content, "Data"))  # Cosign adds this level of nesting.
    if packages is None:
        return Statement("statement" if predicate_type else "unreadable", summary)
    types = Counter(package.type for package in packages)
    return Statement("sbom", {**summary, "types": types.most_common()}, packages)


def _parse(body: bytes) -> Any:
    count_parts(body, MAX_PARTS)
    return parse_json(body)


def _unwrap(document: Any) -> Any:
    """Return the statement in a DSSE envelope or Sigstore bundle, or any other document itself.

    Raises:
        InvalidRegistryResponse: the payload of the envelope is not base64 or not JSON.
    """
    payload = member(document, "payload") or member(document, "dsseEnvelope", "payload")
    if not isinstance(payload, str):
        return document
    try:
        return _parse(base64.b64decode(payload, validate=True))
    except (binascii.Error, ValueError):
        raise InvalidRegistryResponse("the envelope holds no base64") from None


def _read_subjects(document: Any) -> list[str]:
    """Return the sha256 digests of an in-toto statement's subjects."""
    subjects = member(document, "subject")
    digests = [
        member(item, "digest", "sha256")
        for item in (subjects[:MAX_SUBJECTS] if isinstance(subjects, list) else [])
    ]
    return ["sha256:" + plain_text(digest, 64) for digest in digests if isinstance(digest, str)]
