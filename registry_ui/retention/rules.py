"""Settings of a retention policy, and the selection of tags to delete, without any queries."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Self

from ..errors import Invalid
from ..models import RetentionPolicy
from ..names import Digest, subject_of
from ..patterns.glob import IMAGES, KINDS, TAGS, Glob, Pattern
from ..patterns.retention import parse_pattern
from ..tags.selection import MAX_DAYS, DatedTag
from ..tags.version_sort import version_key

MAX_KEEP_LAST = 100_000


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings of a retention policy, which decide the tags that it deletes.

    Attributes:
        images: pattern for the names of the images that the policy applies to.
        keep_matching: pattern for tags that are always kept; "" for none.
        pattern_kind: syntax of both patterns, ``glob`` or ``regex``.
        keep_last: number of newest digests per image whose tags are kept, or None.
        keep_pulled_days: tags pulled within this number of days are kept, or None.
        older_than_days: only tags older than this number of days are deleted, or None.
    """

    images: str = "**"
    keep_matching: str = ""
    pattern_kind: str = "glob"
    keep_last: int | None = None
    keep_pulled_days: int | None = None
    older_than_days: int | None = None

    @classmethod
    def of(cls, policy: RetentionPolicy) -> Self:
        """Return the settings of a stored policy."""
        return cls(**{name: getattr(policy, name) for name in cls.__slots__})

    @classmethod
    def parse(cls, form: dict[str, str]) -> Self:
        """Parse and check the settings in a form, whose fields have the names of the attributes.

        Raises:
            Invalid: a value is invalid, or no setting limits what would be deleted.
        """
        errors: dict[str, str] = {}
        kind = form.get("pattern_kind") or Glob.kind
        patterns: dict[str, str] = {}
        for name, grammar in (("images", IMAGES), ("keep_matching", TAGS)):
            try:
                text = form.get(name, "").strip()
                patterns[name] = str(parse_pattern(kind, text, grammar, name)) if text else ""
            except Invalid as error:
                errors |= error.errors
        if kind not in KINDS:
            errors = {"pattern_kind": f"Choose one of {', '.join(KINDS)}."}
        limits = {
            "keep_last": MAX_KEEP_LAST,
            "keep_pulled_days": MAX_DAYS,
            "older_than_days": MAX_DAYS,
        }
        numbers: dict[str, int | None] = {}
        for name, maximum in limits.items():
            try:
                numbers[name] = _parse_number(form.get(name, ""), maximum)
            except ValueError as error:
                errors[name] = str(error)
        if not errors and numbers["keep_last"] is None and numbers["older_than_days"] is None:
            message = "Set how many digests are kept, or an age: otherwise all tags are deleted."
            errors["keep_last"] = message
        if errors:
            raise Invalid("The policy can't be used.", errors)
        any_image = "**" if kind == Glob.kind else ".*"
        return cls(patterns["images"] or any_image, patterns["keep_matching"], kind, **numbers)

    def image_pattern(self) -> Pattern:
        """Return the pattern for image names.

        Raises:
            Invalid: the stored pattern is invalid, because it was saved before patterns were
                checked.
        """
        return parse_pattern(self.pattern_kind, self.images, IMAGES, "images")

    def keep_pattern(self) -> Pattern | None:
        """Return the pattern for tags that are kept by name, or None if the policy has none.

        Raises:
            Invalid: the stored pattern is invalid, because it was saved before patterns were
                checked.
        """
        if not self.keep_matching:
            return None
        return parse_pattern(self.pattern_kind, self.keep_matching, TAGS, "keep_matching")

    @property
    def fingerprint(self) -> str:
        """SHA-256 digest of the settings, which identifies the settings of a dry run."""
        return str(Digest.of(json.dumps(asdict(self), sort_keys=True).encode()))


def _parse_number(text: str, maximum: int) -> int | None:
    """Return a number from a form, or None if the field is empty.

    Raises:
        ValueError: the text is not a number from 1 to ``maximum``; the message is for the user.
    """
    text = text.strip()
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= maximum:
        return int(text)
    raise ValueError(f"A whole number is needed, from 1 to {maximum}.")


def removable(
    tags: Iterable[DatedTag], rules: Rules, now: datetime, orphans: Collection[str] = ()
) -> set[str]:
    """Return the names of the tags of one image that no rule keeps.

    These are kept: all tags on the newest ``keep_last`` digests, tags that match the keep pattern,
    tags pulled recently, tags that are not old enough, and tags of unknown age.

    Signatures and attestations are not counted as tags: they are deleted with their subject (the
    image that they sign or describe) or as orphans. Damaged tags can't be pulled, so they do not
    count toward ``keep_last``.

    Args:
        now: the time from which ages are counted.
        orphans: signature tags whose subject has no tag.
    """
    dated = [tag for tag in tags if tag.at is not None]
    image_tags = [tag for tag in dated if subject_of(tag.name) is None]
    readable = [tag for tag in image_tags if not tag.is_damaged]
    newest = _find_newest_images(readable, rules.keep_last or 0)
    candidates = [tag for tag in image_tags if _image_of(tag) not in newest]
    candidates += [tag for tag in dated if tag.name in orphans]
    keep_pattern = rules.keep_pattern()
    pulled_since = _subtract_days(now, rules.keep_pulled_days)
    pushed_since = _subtract_days(now, rules.older_than_days)
    return {
        tag.name
        for tag in candidates
        if not (keep_pattern and keep_pattern.matches(tag.name))
        and not (pulled_since and tag.last_pulled_at and tag.last_pulled_at >= pulled_since)
        and not (pushed_since and tag.at and tag.at >= pushed_since)
    }


def _find_newest_images(tags: Iterable[DatedTag], count: int) -> set[str]:
    """Return the digests with the newest tags, at most ``count``.

    If tags have the same time, the build time and then the version decide: tags that were pushed
    together or found in an existing registry have the same time.
    """
    ordered = sorted(
        tags, key=lambda tag: (tag.at, tag.built_at or tag.at, version_key(tag.name)), reverse=True
    )
    return set(list(dict.fromkeys(map(_image_of, ordered)))[:count])


def _image_of(tag: DatedTag) -> str:
    """Return the digest of a tag, or its name if the database does not have the digest."""
    return tag.digest or tag.name


def _subtract_days(now: datetime, days: int | None) -> datetime | None:
    return now - timedelta(days=days) if days else None
