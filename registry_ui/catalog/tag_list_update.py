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
        live: digests and damage of the tags that were read. Tags that were not read keep the
            digest and damage stored in the database.
        started_at: when the registry was asked. Changes that an event reported later are kept.
        request: the image's ``reconcile_requested_at`` before the registry was asked.
        removed_by: the user who removed tags in this application; "" if deletion events are the
            only source for the user's name.
    """

    names: Collection[str]
    live: LiveTags
    started_at: datetime
    request: datetime | None
    removed_by: str = ""


def apply_tag_list(session: Session, image: ContainerImage, listing: TagListing) -> Outcome:
    """Update the rows of an image and its tags to match the registry's answer.

    Changes that no event reported are added to the tag history and checked for violations of
    protection rules. An image without tags is deleted, or hidden while the trash has tags of it.

    Args:
        session: the session of the current transaction.
        image: the image, locked by lock_image() or ensure_image().
        listing: the registry's answer.

    Returns:
        The number of tags that were added, changed, and removed.
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
    _repoint_outdated(session, image, outdated_rows, listing)
    outcome.changed = len(outdated_rows)
    missing_rows = [
        rows[name] for name in rows.keys() - listed_names if rows[name].seen_at < started_at
    ]
    _delete_missing(session, image, missing_rows, listing)
    outcome.removed = len(missing_rows)
    session.flush()
    count_tags(session, image)
    image.mark_reconciled(started_at, listing.request)
    _delete_or_hide_if_empty(session, image, listing)
    return outcome


def _load_rows(session: Session, image: ContainerImage) -> dict[str, Tag]:
    # Load the rows again: an event may have changed them since this session loaded them.
    query = select(Tag).where(Tag.image_id == image.id)
    tags = session.scalars(query.execution_options(populate_existing=True))
    return {tag.name: tag for tag in tags}


def _is_outdated(row: Tag, listing: TagListing) -> bool:
    """Return whether a tag's row must be changed to the digest that the registry reports.

    False if an event changed the row after the registry was asked.
    """
    return listing.live.digests.get(row.name, row.digest) != row.digest and (
        row.seen_at < listing.started_at
    )


def _repoint_outdated(
    session: Session, image: ContainerImage, outdated_rows: list[Tag], listing: TagListing
) -> None:
    """Change tags to the digests that the registry reports, and add this to the tag history."""
    overwritten_names = [row.name for row in outdated_rows if row.digest is not None]
    record_state_before(session, outdated_rows)
    for row in outdated_rows:
        repoint_tag(session, row, listing.live.digests[row.name], listing.started_at)
    started_at = listing.started_at
    record_unreported_violations(session, image, overwritten_names, "overwritten", started_at)


def _delete_missing(
    session: Session, image: ContainerImage, missing_rows: list[Tag], listing: TagListing
) -> None:
    """Delete the rows of tags that the registry does not list, and add this to the tag history."""
    # A damaged tag has no readable content that a rule could protect.
    readable_names = [row.name for row in missing_rows if not row.is_damaged]
    record_unreported_violations(session, image, readable_names, "deleted", listing.started_at)
    if missing_rows:
        record_removed(session, missing_rows, listing.started_at, listing.removed_by)
        session.execute(delete(Tag).where(Tag.id.in_([tag.id for tag in missing_rows])))


def _insert_tag(session: Session, image: ContainerImage, name: str, listing: TagListing) -> bool:
    """Insert a row for a tag that the registry lists; return False if the row already exists."""
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
    """Mark the rows of unreadable tags as damaged, and clear the mark of tags that could be read.

    A row that an event changed after the registry was asked is not modified.

    Args:
        rows: the rows of the image's tags, by tag name.
        listing: the registry's answer.
    """
    for name, row in rows.items():
        if row.seen_at >= listing.started_at:
            continue
        if name in listing.live.damaged:
            row.mark_damaged(listing.live.damaged[name], listing.started_at)
        elif name in listing.live.digests:
            row.mark_readable()


def _delete_or_hide_if_empty(session: Session, image: ContainerImage, listing: TagListing) -> None:
    """Delete an image that has no tags, or hide it from lists while the trash has tags of it."""
    has_tags = session.scalar(select(Tag.id).where(Tag.image_id == image.id).limit(1)) is not None
    if has_tags or _has_push_since(image, listing.started_at):
        image.emptied_at = None
    elif session.scalar(select(TrashedTag.id).where(TrashedTag.repository == image.path).limit(1)):
        image.emptied_at = listing.started_at
    else:
        session.delete(image)


def repoint_tag(session: Session, tag: Tag, digest: str, at: datetime) -> None:
    """Set a tag's digest to the one that the registry reports, although no event reported a push.

    If the tag had a known digest before, its push time and author become unknown, its age counts
    from ``at``, and the new digest is added to its history.
    """
    is_known = tag.digest is not None
    tag.digest = digest
    if is_known:
        # The time and author of the push are unknown. The tag may have been pushed a moment ago
        # even if the image was built long ago, so its age counts from now.
        tag.pushed_at = tag.pushed_by = None
        tag.age_from = at
        record_found(session, tag, at)


def _has_push_since(image: ContainerImage, time: datetime) -> bool:
    return image.last_push_at is not None and image.last_push_at >= time
