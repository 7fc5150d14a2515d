"""Which tags of an image are meant: by name, by what they match, by their age."""

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
    """A tag of the index, and from when its age is counted.

    ``at`` is None if its age is not known: no event told of a push, and it was not read when
    the image was built.
    """

    name: str
    at: datetime | None
    last_pulled_at: datetime | None
    digest: str | None = None
    built_at: datetime | None = None
    is_damaged: bool = False

    @classmethod
    def of(cls, row: Any, waiting_pull: datetime | None) -> Self:
        """Count the age from the push, or else the build, but not from before ``age_from``.

        Nobody knows how long a tag has been there before a check found it, so an old image
        can be new here. A tag that was restored is wanted again.

        Args:
            waiting_pull: the last pull of what it may consist of, if that was not applied yet.
        """
        at = row.pushed_at or row.built_at
        if at is not None and row.age_from is not None:
            at = max(at, row.age_from)
        pulled = last_use([row.last_pulled_at, waiting_pull])
        is_damaged = row.damage is not None
        return cls(row.name, at, pulled, row.digest, row.built_at, is_damaged)


@dataclass(frozen=True, slots=True)
class Criteria:
    """What the tags that are meant have in common; what is empty asks for nothing."""

    names: Collection[str] = ()
    q: str = ""
    pattern: Pattern | None = None
    older_than: timedelta | None = None
    orphans: bool = False

    def __bool__(self) -> bool:
        return bool(self.names or self.q or self.pattern or self.older_than or self.orphans)


def days(text: str, field: str) -> timedelta | None:
    """Return a number of days as a form has it; None for nothing.

    Raises:
        Invalid: it is no whole number of days, or too many.
    """
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_DAYS and len(text) < 9):
        message = f"A whole number of days is needed, from 1 to {MAX_DAYS}."
        raise Invalid("The number of days can't be used.", {field: message})
    return timedelta(days=int(text))


class UnknownTags(Invalid):
    """Tags were named that the image does not have; ``names`` are these."""

    def __init__(self, image: ContainerImage, names: Collection[str]) -> None:
        self.names = sorted(names)
        shown = name_first([f"“{name[:MAX_TAG]}”" for name in self.names])
        message = f"{image.path} has no tag {shown}."
        super().__init__("Nothing was planned.", {"tags": message})


def choose(image: ContainerImage, criteria: Criteria) -> set[str]:
    """Return the tags of the index that match all criteria; every tag without criteria.

    Signatures and the like are meant only by name, or as orphans: then nothing else is. A tag of
    unknown age is not old.

    Raises:
        UnknownTags: a tag is named that neither the index nor the registry knows.
    """
    wanted = set(criteria.names)
    tags = dated_tags(image)
    if wanted - {tag.name for tag in tags}:
        # A tag that was pushed just now; of a registry that is down, none is new.
        with suppress(RegistryError):
            refresh(image)
        tags = dated_tags(image)
    unknown = wanted - {tag.name for tag in tags}
    if unknown:
        raise UnknownTags(image, unknown)
    if criteria.orphans:
        wanted = without_subject(image, orphans(image))
        if not wanted:
            return set()
    searched = matcher(criteria.q)
    before = utc_now() - criteria.older_than if criteria.older_than else None
    return {
        tag.name
        for tag in tags
        if (tag.name in wanted if wanted else subject_of(tag.name) is None)
        and searched(tag.name)
        and (criteria.pattern is None or criteria.pattern.matches(tag.name))
        and (before is None or (tag.at is not None and tag.at < before))
    }


def dated_tags(image: ContainerImage) -> list[DatedTag]:
    """Return the tags of an image with their age, by two queries; by two more if pulls wait."""
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
    pulled = waiting_pulls(db.session(), image.id)
    return [DatedTag.of(row, pulled.get(row.read)) for row in rows]
