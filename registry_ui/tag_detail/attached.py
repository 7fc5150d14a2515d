"""Referrers of an image: signatures, attestations, and other documents, with their contents."""

from __future__ import annotations

from collections.abc import Collection

from ..artifacts.attestations import documents
from ..artifacts.referrers import Attachment, attachments
from ..distribution.client import MAX_DOCUMENT
from ..distribution.manifest import Descriptor
from ..distribution.provenance import Provenance
from ..distribution.statement import can_be_read
from ..models import AttachedDocument, ContainerImage, Manifest
from . import labels
from .view_models import DocumentView, ReferrerView

PROBLEMS = {
    "unreadable": "it can't be read as an SBOM or as provenance",
    "too large": "it is too large to be read here",
    "not read": "it was not read: the image has too many of them",
}


def referrers(
    image: ContainerImage, subjects: Collection[str], index: Manifest | None, *, content: bool
) -> list[ReferrerView]:
    """Return a view of each referrer (a manifest that signs or describes a tag of an image).

    Args:
        image: the image.
        subjects: the digests of the tag and of the platform that the page shows.
        index: the manifest of the tag if it is an OCI index, else None.
        content: whether to read the documents that the referrers contain; this requires the
            pull permission.
    """
    all_attachments = attachments(image, subjects, index)
    layers = [layer for item in all_attachments for layer in _document_layers(item)]
    rows, problems = documents(image, layers) if content else ({}, {})
    views = []
    for attachment in all_attachments:
        view = _build_view(attachment)
        if content:
            view.documents = [
                _build_document_view(
                    layer, rows.get(layer.digest), problems.get(layer.digest, ""), subjects
                )
                for layer in _document_layers(attachment)
            ]
        views.append(view)
    return views


def _document_layers(attachment: Attachment) -> tuple[Descriptor, ...]:
    """Return the layers of a referrer that are documents, such as SBOMs or attestations."""
    if attachment.facts is None:
        return ()
    return tuple(
        layer for layer in attachment.facts.layers if can_be_read(layer) or layer.predicate_type
    )


def _build_view(attachment: Attachment) -> ReferrerView:
    facts = attachment.facts
    kind = facts.kind if facts is not None else "unknown"
    artifact_type = facts.artifact_type if facts is not None else ""
    return ReferrerView(
        kind=kind,
        label=labels.referrer(kind, artifact_type, attachment.tag),
        artifact_type=artifact_type,
        digest=attachment.digest,
        tag=attachment.tag,
        size=facts.size if facts is not None else None,
        listed=attachment.referrer_count,
    )


def _build_document_view(
    layer: Descriptor, row: AttachedDocument | None, problem: str, subjects: Collection[str]
) -> DocumentView:
    label = labels.predicate(layer.predicate_type) or labels.artifact(layer.media_type)
    if row is None:
        reason = problem or _explain_unread(layer)
        return DocumentView("unread", layer.digest, layer.size, predicate=label, problem=reason)
    summary = row.summary
    provenance = summary.get("provenance")
    about_digests = set(summary.get("subjects", ()))
    reason = summary.get("problem", "")
    return DocumentView(
        kind=row.kind,
        digest=layer.digest,
        size=layer.size,
        predicate=labels.predicate(summary.get("predicate_type", "")) or label,
        problem=reason or (PROBLEMS["unreadable"] if row.kind == "unreadable" else ""),
        about_other=bool(about_digests) and about_digests.isdisjoint(subjects),
        types=[(package_type, count) for package_type, count in summary.get("types", ())],
        provenance=Provenance.from_json(provenance) if provenance else None,
    )


def _explain_unread(layer: Descriptor) -> str:
    """Return the reason why a document was not read; "" if its media type is never read."""
    if not can_be_read(layer):
        return ""
    return PROBLEMS["too large" if layer.size > MAX_DOCUMENT else "not read"]
