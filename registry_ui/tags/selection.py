"""Select tags of an image by name, pattern or age."""

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
    """A tag of the index, and the time from which its age is counted.

    ``at`` is None if the age is unknown, because no event reported a push and the build time was
    not read.
    """

    name: str
    at: datetime | None
    last_pulled_at: datetime | None
    digest: str | None = None
    built_at: datetime | None = None
    is_damaged: bool = False

    @classmethod
    def of(cls, row: Any, waiting_pull: datetime | None) -> Self:
        """Return a tag whose age counts from its push, or else its build.

        The age never counts from before ``age_from``: a tag that was found without a push event
        can be new although its image is old, and a restored tag is in use again.

        Args:
            row: a row of the query in dated_tags().
            waiting_pull: time of the last pull of a digest that the tag may contain, if the pull
                was not applied to tags yet.
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

    ``q`` is the text of a filter; ``orphans`` selects digest tags whose subject is gone.
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
    """Some requested tags don't exist in the image. ``names`` are the missing ones."""

    def __init__(self, image: ContainerImage, names: Collection[str]) -> None:
        self.names = sorted(names)
        examples = name_first([f"“{name[:MAX_TAG]}”" for name in self.names])
        message = f"{image.path} has no tag {examples}."
        super().__init__("Nothing was planned.", {"tags": message})


def choose(image: ContainerImage, criteria: Criteria) -> set[str]:
    """Return the tags of the index that match all criteria; all ordinary tags without criteria.

    Signatures and other digest tags are returned only if they are named, or as orphans; with
    ``criteria.orphans``, no other tags are returned. A tag of unknown age matches no
    ``older_than``.

    Raises:
        UnknownTags: neither the index nor the registry has a named tag.
    """
    names = set(criteria.names)
    tags = dated_tags(image)
    if names - {tag.name for tag in tags}:
        # The tag may have been pushed a moment ago. If the registry is down, the index decides.
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
    """Return the tags of an image with their age, with two queries.

    Two more queries are needed if there are pulls that were not applied to tags yet.
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
