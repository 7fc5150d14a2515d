"""Build the page view of one tag from the registry, the index, and the stored manifests.

The index is the database's copy of the registry's tags.
"""

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
from .labels import artifact, labeled
from .live_tag import read_live_tag
from .manifest_view import choose, explain_unread, file_views, show
from .pretty_json import pretty_print
from .pull_commands import commands
from .view_models import MomentView, TagView

#: Maximum number of history entries shown by default, and when the whole history is requested.
MAX_MOMENTS, MAX_ALL_MOMENTS = 20, 500


@dataclass(frozen=True, slots=True)
class TagViewOptions:
    """Options for the view of a tag.

    Attributes:
        platform: digest of the platform to show if the tag is an OCI index; "" for the first one.
        content: whether to show the contents of manifests, which require the pull permission.
        all_moments: whether to show up to MAX_ALL_MOMENTS history entries instead of MAX_MOMENTS.
        reader: the user who views the page. The source of a copied tag is shown only if this user
            can see it.
    """

    platform: str = ""
    content: bool = False
    all_moments: bool = False
    reader: Principal = ANONYMOUS


def tag_view(
    image: ContainerImage, name: TagName, options: TagViewOptions, host: str
) -> tuple[TagView, datetime | None, str | None]:
    """Read a tag from the registry and return the view of its page.

    Args:
        image: the image.
        name: the name of the tag.
        options: the options of the view.
        host: the registry's host name in pull commands.

    Returns:
        The view; the time of the registry's last answer for the tag (None if it is not known); and
        the error of the registry, or None.

    Raises:
        NotFound: the registry does not have the tag, or the registry is down and the index does
            not have the tag.
    """
    tag, fresh_at, error = read_live_tag(image, name)
    view = _build_base_view(image, tag)
    manifest = in_full(tag.digest) if tag.digest else None
    if manifest is not None:
        _add_manifest(view, image, manifest, options)
        view.subject = view.subject or facts_of(manifest).subject
    if view.subject:
        view.subject_tags = _find_tags(image, view.subject)
    repository = f"{host}/{image.path}"
    view.commands = commands(view.kind, repository, tag.name, tag.digest)
    _add_moments(view, image, repository, options)
    return view, fresh_at, error


def _build_base_view(image: ContainerImage, tag: Tag) -> TagView:
    view = TagView.of(tag)
    view.subject = subject_of(tag.name) or ""
    view.protection = protections(image, [tag.name]).get(tag.name)
    if tag.digest:
        view.same_as = [name for name in _find_tags(image, tag.digest) if name != tag.name]
    return view


def _find_tags(image: ContainerImage, digest: str) -> list[str]:
    query = select(Tag.name).where(Tag.image_id == image.id, Tag.digest == digest)
    return sorted(db.session.scalars(query), key=version_key)


def _add_manifest(
    view: TagView, image: ContainerImage, manifest: Manifest, options: TagViewOptions
) -> None:
    """Add the stored data of the tag's manifest and of the selected platform to the view."""
    facts = facts_of(manifest)
    children = children_of(image.path, [manifest])
    add_manifest_info(view, manifest, children)
    view.media_type, view.artifact_type = facts.media_type, facts.artifact_type
    view.artifact_label = artifact(facts.artifact_type)
    view.problems = list(facts.problems)
    view.annotations = labeled(facts.annotations.items())
    view.annotations_total = facts.annotations_total
    view.raw_manifest = pretty_print(manifest.body)
    selected: Manifest | None = manifest
    if facts.kind in {"build cache", "schema 1"} or facts.media_type in INDEX_TYPES:
        view.blobs = file_views(facts.blobs, sized=facts.kind != "schema 1")
    if facts.kind == "index":
        chosen = choose(view, facts, children, options.platform)
        view.problems += explain_unread(image.path, facts, children)
        selected = in_full(chosen.digest) if chosen is not None else None
    if selected is not None:
        show(view, selected)
    # If an attestation is selected, show the referrers of the image that it describes.
    attested_digests = {c.attests for c in facts.children if c.digest == view.selected_digest}
    subjects = {manifest.digest, view.selected_digest, *attested_digests} - {""}
    index = manifest if facts.kind == "index" else None
    view.referrers = referrers(image, subjects, index, content=options.content)
    if not options.content:
        view.leave_out_content()


def _add_moments(
    view: TagView, image: ContainerImage, repository: str, options: TagViewOptions
) -> None:
    session, limit = db.session(), MAX_ALL_MOMENTS if options.all_moments else MAX_MOMENTS
    history, view.moments_total = history_of(session, image, view.name, limit)
    moments = list(history)
    visible = visible_sources(session, options.reader, {moment.source for moment in moments})
    client = "oras" if is_for_oras(view.kind) or view.kind == "chart" else "docker"
    view.moments = [
        MomentView(
            action=moment.action,
            digest=moment.digest,
            pull_command=f"{client} pull {repository}@{moment.digest}" if moment.digest else "",
            at=moment.at,
            actor=moment.actor,
            source=moment.source if moment.source in visible else "",
        )
        for moment in moments
    ]
