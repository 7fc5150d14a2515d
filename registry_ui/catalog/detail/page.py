"""One tag in full: what it points to, how it was made, what it will run."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from ...extensions import db
from ...models import ContainerImage, Manifest, Tag
from ...names import TagName
from ..facts import children_of, facts_of
from ..tags import describe, fold, pull_command, subject_of
from .current import current
from .shown import choose, printable, show
from .view import TagView


def tag_view(
    image: ContainerImage, name: TagName, platform: str, host: str
) -> tuple[TagView, datetime | None, str | None]:
    """Return a tag as the registry has it now, when that was, and the trouble if any.

    Args:
        platform: digest of the child of an index that is shown; "" for the first.

    Raises:
        NotFound: neither the registry nor, with the registry down, the index has it.
    """
    tag, fresh_at, error = current(image, name)
    view = _base(image, tag, host)
    manifest = db.session.get(Manifest, tag.digest) if tag.digest else None
    if manifest is None:
        return view, fresh_at, error
    facts = facts_of(manifest)
    children = children_of(image.path, [manifest])
    describe(view, manifest, children)
    repository = f"{host}/{image.path}"
    view.pull_command = pull_command(view.kind, repository, tag.name)
    if view.kind in {"image", "index"}:
        view.pull_by_digest = f"docker pull {repository}@{tag.digest}"
    view.media_type, view.artifact_type = facts.media_type, facts.artifact_type
    view.problems = list(facts.problems)
    view.raw_manifest = printable(manifest.body)
    view.annotations = sorted(facts.annotations.items())
    shown: Manifest | None = manifest
    if facts.kind == "index":
        shown = choose(view, facts, children, platform)
    if shown is not None:
        show(view, shown)
    return view, fresh_at, error


def _base(image: ContainerImage, tag: Tag, host: str) -> TagView:
    name = f"{host}/{image.path}"
    view = TagView.of(tag)
    view.pull_command = pull_command("image", name, tag.name)
    if tag.digest:
        siblings = list(db.session.scalars(select(Tag).where(Tag.image_id == image.id)))
        folded, _ = fold(siblings)
        view.same_as = sorted(
            s.name for s in siblings if s.digest == tag.digest and s.name != tag.name
        )
        view.folded = sorted(folded.get(tag.digest, []))
        view.signed = any(name.endswith(".sig") for name in view.folded)
        view.referrers = [(name, _referrer_kind(name)) for name in view.folded]
    return view


def _referrer_kind(tag: str) -> str:
    kinds = {"sig": "signature", "att": "attestation", "sbom": "SBOM"}
    return kinds.get(tag.rpartition(".")[2], "referrers") if subject_of(tag) else "tag"
