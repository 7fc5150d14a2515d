"""Correct the rows of an image and its tags, so that they match the registry's list of tags."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ..db.prepared import insert_if_absent
from ..models import ContainerImage, Tag, TrashedTag
from .images import count_tags
from .live_tags import LiveTags
from .reconcile_outcome import Outcome
from .tag_history import record_found, record_removed, record_state_before
from .violations import record_unreported_violations


@dataclass(frozen=True, slots=True)
class TagListing:
    """The registry's answer about the tags of one repository.

    Attributes:
        names: every tag that the registry listed, without those in the trash.
        live: digests and damage of the tags that were read; other tags keep theirs in the index.
        started_at: when the registry was asked. Changes that an event reported later are kept.
        removed_by: the user who removed tags; "" if only events can name the user.
    """

    names: Collection[str]
    live: LiveTags
    started_at: datetime
    removed_by: str = ""


def apply_tag_list(session: Session, image: ContainerImage, listing: TagListing) -> Outcome:
    """Update the rows of an image and its tags to match the registry's answer.

    Args:
        session: the session of the current transaction.
        image: the image, locked by lock_image() or ensure_image().
        listing: the registry's answer.
    """
    started_at, listed_names = listing.started_at, set(listing.names)
    rows = _load_rows(session, image)
    outcome = Outcome(image.path, tags=len(listed_names), damaged=len(listing.live.damaged))
    for name in listed_names - rows.keys():
        outcome.added += _insert_tag(session, image, name, listing)
    _update_damage(rows, listing)
    outdated_rows = [
        rows[name] for name in listed_names & rows.keys() if _is_outdated(rows[name], listing)
    ]
    missing_rows = [
        rows[name] for name in rows.keys() - listed_names if rows[name].seen_at < started_at
    ]
    overwritten_names = [row.name for row in outdated_rows if row.digest is not None]
    record_state_before(session, outdated_rows)
    for row in outdated_rows:
        repoint_tag(session, row, listing.live.digests[row.name], started_at)
    outcome.changed = len(outdated_rows)
    record_unreported_violations(session, image, overwritten_names, "overwritten", started_at)
    _delete_missing(session, image, missing_rows, listing)
    outcome.removed = len(missing_rows)
    session.flush()
    count_tags(session, image)
    image.reconciled_at, image.reconcile_error = started_at, None
    image.reconcile_wanted = False
    _delete_or_hide_if_empty(session, image, listing)
    return outcome


def _load_rows(session: Session, image: ContainerImage) -> dict[str, Tag]:
    # Rows that the session has loaded before may have been changed by an event since.
    query = select(Tag).where(Tag.image_id == image.id)
    tags = session.scalars(query.execution_options(populate_existing=True))
    return {tag.name: tag for tag in tags}


def _is_outdated(row: Tag, listing: TagListing) -> bool:
    """Return whether the registry reports another digest for a tag than the index has."""
    return listing.live.digests.get(row.name, row.digest) != row.digest and (
        row.seen_at < listing.started_at
    )


def _delete_missing(
    session: Session, image: ContainerImage, missing_rows: list[Tag], listing: TagListing
) -> None:
    """Delete the rows of tags that the registry does not list, and record it in their history."""
    # A damaged tag has no readable content that a rule could protect.
    readable_names = [row.name for row in missing_rows if not row.is_damaged]
    record_unreported_violations(session, image, readable_names, "deleted", listing.started_at)
    if missing_rows:
        record_removed(session, missing_rows, listing.started_at, listing.removed_by)
        session.execute(delete(Tag).where(Tag.id.in_([tag.id for tag in missing_rows])))


def _insert_tag(session: Session, image: ContainerImage, name: str, listing: TagListing) -> bool:
    """Insert a tag that was found in the registry; return whether the row is new."""
    return insert_if_absent(
        session,
        Tag,
        image_id=image.id,
        name=name,
        digest=listing.live.digests.get(name),
        pull_count=0,
        seen_at=listing.started_at,
        age_from=listing.started_at,
        damage=listing.live.damaged.get(name),
        damaged_since=listing.started_at if name in listing.live.damaged else None,
    )


def _update_damage(rows: Mapping[str, Tag], listing: TagListing) -> None:
    """Mark unreadable tags as damaged, and clear the mark of tags that can be read again.

    A tag that an event changed after the registry was asked is left alone.
    """
    for name, row in rows.items():
        if row.seen_at >= listing.started_at:
            continue
        if name in listing.live.damaged:
            row.mark_damaged(listing.live.damaged[name], listing.started_at)
        elif name in listing.live.digests:
            row.mark_readable()


def _delete_or_hide_if_empty(session: Session, image: ContainerImage, listing: TagListing) -> None:
    """Delete an image without tags, or only hide it while the trash contains a tag of it."""
    if listing.names or _has_push_since(image, listing.started_at):
        image.emptied_at = None
    elif session.scalar(select(TrashedTag.id).where(TrashedTag.repository == image.path).limit(1)):
        image.emptied_at = listing.started_at
    else:
        session.delete(image)


def repoint_tag(session: Session, tag: Tag, digest: str, at: datetime) -> None:
    """Point a tag to the digest that the registry reports and that no event announced."""
    is_known = tag.digest is not None
    tag.digest = digest
    if is_known:
        # The time and author of this push are unknown. The tag may have been pushed a moment
        # ago even if the image is old, so its age counts from now.
        tag.pushed_at = tag.pushed_by = None
        tag.age_from = at
        record_found(session, tag, at)


def _has_push_since(image: ContainerImage, time: datetime) -> bool:
    return image.last_push_at is not None and image.last_push_at >= time
