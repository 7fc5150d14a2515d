"""Build the view of one tag from the registry, the index and the manifest store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from ..access import ANONYMOUS, Principal
from ..catalog.tag_history import history_of
from ..copies.visibility import visible_sources
from ..db.session import db
from ..distribution.media_types import INDEX_TYPES
from ..manifests.store import children_of, facts_of, in_full
from ..models import ContainerImage, Manifest, Tag
from ..names import TagName, subject_of
from ..tags.enforcement import protections
from ..tags.rows import add_manifest_info, is_for_oras
from ..tags.version_sort import version_key
from .attached import referrers
from .labels import artifact, labelled
from .live_tag import current
from .manifest_view import choose, file_views, show, unread
from .pretty_json import pretty_print
from .pull_commands import commands
from .view_models import MomentView, TagView

#: Maximum number of history entries shown by default, and when the whole history is requested.
MOMENTS, ALL_MOMENTS = 20, 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """Options for the view of a tag.

    Attributes:
        platform: digest of the child of an index to show; "" for the first platform.
        content: whether the reader has permission to pull, and so to see the contents.
        all_moments: whether to show up to ALL_MOMENTS history entries instead of MOMENTS.
        reader: the source of a copied tag is shown only if this user can see it.
    """

    platform: str = ""
    content: bool = False
    all_moments: bool = False
    reader: Principal = ANONYMOUS


def tag_view(
    image: ContainerImage, name: TagName, wanted: Wanted, host: str
) -> tuple[TagView, datetime | None, str | None]:
    """Return the view of a tag, when the registry last answered, and its error or None.

    Args:
        image: the image.
        name: the name of the tag.
        wanted: the options of the view.
        host: the registry's host name in pull commands.

    Raises:
        NotFound: the registry does not have the tag, or the registry is down and the index does
            not have it.
    """
    tag, fresh_at, error = current(image, name)
    view = _base(image, tag)
    manifest = in_full(tag.digest) if tag.digest else None
    if manifest is not None:
        _describe(view, image, manifest, wanted)
        view.subject = view.subject or facts_of(manifest).subject
    if view.subject:
        view.subject_tags = _tags_of(image, view.subject)
    repository = f"{host}/{image.path}"
    view.commands = commands(view.kind, repository, tag.name, tag.digest)
    _add_moments(view, image, repository, wanted)
    return view, fresh_at, error


def _base(image: ContainerImage, tag: Tag) -> TagView:
    view = TagView.of(tag)
    view.subject = subject_of(tag.name) or ""
    view.protection = protections(image, [tag.name]).get(tag.name)
    if tag.digest:
        view.same_as = [name for name in _tags_of(image, tag.digest) if name != tag.name]
    return view


def _tags_of(image: ContainerImage, digest: str) -> list[str]:
    query = select(Tag.name).where(Tag.image_id == image.id, Tag.digest == digest)
    return sorted(db.session.scalars(query), key=version_key)


def _describe(view: TagView, image: ContainerImage, manifest: Manifest, wanted: Wanted) -> None:
    """Add the stored data of the tag's manifest and of the selected platform to the view."""
    facts = facts_of(manifest)
    children = children_of(image.path, [manifest])
    add_manifest_info(view, manifest, children)
    view.media_type, view.artifact_type = facts.media_type, facts.artifact_type
    view.artifact_words = artifact(facts.artifact_type)
    view.problems = list(facts.problems)
    view.annotations = labelled(facts.annotations.items())
    view.annotations_total = facts.annotations_total
    view.raw_manifest = pretty_print(manifest.body)
    shown: Manifest | None = manifest
    if facts.kind in {"build cache", "schema 1"} or facts.media_type in INDEX_TYPES:
        view.blobs = file_views(facts.blobs, sized=facts.kind != "schema 1")
    if facts.kind == "index":
        chosen = choose(view, facts, children, wanted.platform)
        view.problems += unread(image.path, facts, children)
        shown = in_full(chosen.digest) if chosen is not None else None
    if shown is not None:
        show(view, shown)
    # A selected attestation is shown with the referrers of the image that it is about.
    attested = {c.attests for c in facts.children if c.digest == view.selected_digest}
    subjects = {manifest.digest, view.selected_digest, *attested} - {""}
    index = manifest if facts.kind == "index" else None
    view.referrers = referrers(image, subjects, index, content=wanted.content)
    if not wanted.content:
        view.leave_out_content()


def _add_moments(view: TagView, image: ContainerImage, repository: str, wanted: Wanted) -> None:
    session, limit = db.session(), ALL_MOMENTS if wanted.all_moments else MOMENTS
    found, view.moments_total = history_of(session, image, view.name, limit)
    moments = list(found)
    seen = visible_sources(session, wanted.reader, {moment.source for moment in moments})
    client = "oras" if is_for_oras(view.kind) or view.kind == "chart" else "docker"
    view.moments = [
        MomentView(
            moment.action,
            moment.digest,
            f"{client} pull {repository}@{moment.digest}" if moment.digest else "",
            moment.at,
            moment.actor,
            moment.source if moment.source in seen else "",
        )
        for moment in moments
    ]
