"""Selection of tags of an image by name, pattern, or age."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import case, select

from ..db.session import db
from ..distribution.errors import RegistryError
from ..enumerations import name_first
from ..errors import Invalid
from ..manifests.parser_version import is_stale_index
from ..manifests.tag_use import last_use, waiting_pulls
from ..models import ContainerImage, Manifest, Tag, utc_now
from ..names import MAX_TAG, subject_of
from ..patterns.glob import Pattern
from ..patterns.search import matcher
from .image_tags import refresh
from .orphans import orphans, without_subject

MAX_DAYS = 36500


@dataclass(frozen=True, slots=True)
class DatedTag:
    """A tag with the time from which its age is counted.

    ``at`` is None if the age is unknown, because no event reported a push and the build time was
    not read. ``last_pulled_at``, ``digest``, and ``built_at`` are None if they are unknown.
    """

    name: str
    at: datetime | None
    last_pulled_at: datetime | None
    digest: str | None = None
    built_at: datetime | None = None
    is_damaged: bool = False

    @classmethod
    def of(cls, row: Any, waiting_pull: datetime | None) -> Self:
        """Return the tag in a row, with its age counted from its push or, if unknown, its build.

        The age never counts from a time before ``age_from``: a tag that was found without a push
        event can be new although its image is old, and a restored tag is in use again.

        Args:
            row: a row of the query in dated_tags().
            waiting_pull: time of the last pull of a digest that the tag may contain, if that pull
                was not recorded for the image's tags yet; otherwise None.
        """
        at = row.pushed_at or row.built_at
        if at is not None and row.age_from is not None:
            at = max(at, row.age_from)
        last_pulled_at = last_use([row.last_pulled_at, waiting_pull])
        is_damaged = row.damage is not None
        return cls(row.name, at, last_pulled_at, row.digest, row.built_at, is_damaged)


@dataclass(frozen=True, slots=True)
class Criteria:
    """Criteria that a selected tag must meet. An empty field is ignored.

    ``names`` are the allowed names, ``q`` is a filter text, ``pattern`` must match the name, and
    ``older_than`` is the minimum age. ``orphans`` selects the tags of signatures and SBOMs whose
    subject no longer exists.
    """

    names: Collection[str] = ()
    q: str = ""
    pattern: Pattern | None = None
    older_than: timedelta | None = None
    orphans: bool = False

    def __bool__(self) -> bool:
        return bool(self.names or self.q or self.pattern or self.older_than or self.orphans)


def days(text: str, field: str) -> timedelta | None:
    """Parse a number of days from a form; return None if the field is empty.

    Args:
        text: the text that the user entered.
        field: name of the form field, for the error message.

    Raises:
        Invalid: the text is not a whole number from 1 to MAX_DAYS.
    """
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_DAYS and len(text) < 9):
        message = f"A whole number of days is needed, from 1 to {MAX_DAYS}."
        raise Invalid("The number of days can't be used.", {field: message})
    return timedelta(days=int(text))


class UnknownTags(Invalid):
    """Some requested tags don't exist in the image; ``names`` are the missing tags."""

    def __init__(self, image: ContainerImage, names: Collection[str]) -> None:
        self.names = sorted(names)
        examples = name_first([f"“{name[:MAX_TAG]}”" for name in self.names])
        message = f"{image.path} has no tag {examples}."
        super().__init__("Nothing was planned.", {"tags": message})


def choose(image: ContainerImage, criteria: Criteria) -> set[str]:
    """Return the names of an image's tags that meet all criteria.

    Digest tags (tags of signatures and SBOMs, such as ``sha256-<hex>.sig``) are returned only if
    ``criteria.names`` contains them, or if ``criteria.orphans`` is set; then only orphaned digest
    tags are returned. Without criteria, all ordinary tags are returned. A tag of unknown age does
    not meet ``older_than``.

    Raises:
        UnknownTags: neither the database nor the registry has a tag in ``criteria.names``.
    """
    names = set(criteria.names)
    tags = dated_tags(image)
    if names - {tag.name for tag in tags}:
        # A tag may have been pushed a moment ago. Without the registry, only the database counts.
        with suppress(RegistryError):
            refresh(image)
        tags = dated_tags(image)
    missing = names - {tag.name for tag in tags}
    if missing:
        raise UnknownTags(image, missing)
    if criteria.orphans:
        names = without_subject(image, orphans(image))
        if not names:
            return set()
    matches_text = matcher(criteria.q)
    cutoff = utc_now() - criteria.older_than if criteria.older_than else None
    return {
        tag.name
        for tag in tags
        if (tag.name in names if names else subject_of(tag.name) is None)
        and matches_text(tag.name)
        and (criteria.pattern is None or criteria.pattern.matches(tag.name))
        and (cutoff is None or (tag.at is not None and tag.at < cutoff))
    }


def dated_tags(image: ContainerImage) -> list[DatedTag]:
    """Return all tags of an image with the times from which their ages are counted.

    This takes two queries, and two more if there are pulls that were not recorded for tags yet.
    """
    query = (
        select(
            Tag.name,
            Tag.pushed_at,
            Tag.age_from,
            Tag.last_pulled_at,
            Tag.digest,
            Tag.damage,
            Manifest.built_at,
            case((~is_stale_index(), Manifest.digest)).label("read"),
        )
        .outerjoin(Manifest, Manifest.digest == Tag.digest)
        .where(Tag.image_id == image.id)
        .order_by(Tag.name)
    )
    rows = db.session.execute(query).all()
    waiting_pull_times = waiting_pulls(db.session(), image.id)
    return [DatedTag.of(row, waiting_pull_times.get(row.read)) for row in rows]
