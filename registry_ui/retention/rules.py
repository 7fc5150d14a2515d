"""Which tags a retention policy lets go. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Self

from ..errors import Invalid
from ..models import RetentionPolicy
from ..names import Digest, subject_of
from ..patterns.glob import IMAGES, KINDS, TAGS, Glob, Grammar, Pattern
from ..patterns.retention import parse_pattern
from ..tags.selection import MAX_DAYS, DatedTag
from ..tags.version_sort import version_key

MAX_KEPT = 100_000


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings of a policy, as they are stored and compared."""

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
        """Check the settings of a form, whose fields have the same names.

        Raises:
            Invalid: they can't be used, or nothing limits what would go.
        """
        errors: dict[str, str] = {}
        kind = form.get("pattern_kind") or Glob.kind
        patterns = {
            name: _pattern_text(kind, form.get(name, "").strip(), grammar, name, errors)
            for name, grammar in (("images", IMAGES), ("keep_matching", TAGS))
        }
        if kind not in KINDS:
            errors = {"pattern_kind": f"Choose one of {', '.join(KINDS)}."}
        most = {"keep_last": MAX_KEPT, "keep_pulled_days": MAX_DAYS, "older_than_days": MAX_DAYS}
        numbers = {
            name: _number(form.get(name, ""), name, top, errors) for name, top in most.items()
        }
        if not errors and numbers["keep_last"] is None and numbers["older_than_days"] is None:
            message = "Set how many digests are kept, or an age: otherwise all tags are deleted."
            errors["keep_last"] = message
        if errors:
            raise Invalid("The policy can't be used.", errors)
        any_image = "**" if kind == Glob.kind else ".*"
        return cls(patterns["images"] or any_image, patterns["keep_matching"], kind, **numbers)

    def image_pattern(self) -> Pattern:
        """Return the pattern of the images.

        Raises:
            Invalid: it was stored before patterns were checked, and can't be used.
        """
        return parse_pattern(self.pattern_kind, self.images, IMAGES, "images")

    def keep_pattern(self) -> Pattern | None:
        """Return the pattern of tags that are kept by their name, if there is one.

        Raises:
            Invalid: it was stored before patterns were checked, and can't be used.
        """
        if not self.keep_matching:
            return None
        return parse_pattern(self.pattern_kind, self.keep_matching, TAGS, "keep_matching")

    @property
    def fingerprint(self) -> str:
        """The settings' name by their content: what was tried is what is switched on."""
        return str(Digest.of(json.dumps(asdict(self), sort_keys=True).encode()))


def _pattern_text(kind: str, text: str, grammar: Grammar, name: str, errors: dict[str, str]) -> str:
    """Return a pattern in its canonical form; note what is wrong with it."""
    try:
        return str(parse_pattern(kind, text, grammar, name)) if text else ""
    except Invalid as error:
        errors |= error.errors
        return ""


def _number(text: str, name: str, top: int, errors: dict[str, str]) -> int | None:
    text = text.strip()
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= top:
        return int(text)
    errors[name] = f"A whole number is needed, from 1 to {top}."
    return None


def removable(
    tags: Iterable[DatedTag], rules: Rules, now: datetime, orphans: Collection[str] = ()
) -> set[str]:
    """Return the tags of one image that no rule keeps.

    Kept are all tags on the newest ``keep_last`` digests, what matches, what was pulled lately,
    what is not old enough, and what nobody knows the age of. Signatures and the like are no tags
    here: they go with what they are attached to, or as orphans, which are never the newest. Nor
    is a damaged tag, because nobody can pull it: ``keep_last`` images can be pulled.

    Args:
        orphans: the signature tags whose subject is gone.
    """
    known = [tag for tag in tags if tag.at is not None]
    dated = [tag for tag in known if subject_of(tag.name) is None]
    readable = [tag for tag in dated if not tag.is_damaged]
    newest = _newest_images(readable, rules.keep_last or 0)
    candidates = [tag for tag in dated if _image_of(tag) not in newest]
    candidates += [tag for tag in known if tag.name in orphans]
    keep = rules.keep_pattern()
    pulled = _ago(now, rules.keep_pulled_days)
    pushed = _ago(now, rules.older_than_days)
    return {
        tag.name
        for tag in candidates
        if not (keep and keep.matches(tag.name))
        and not (pulled and tag.last_pulled_at and tag.last_pulled_at >= pulled)
        and not (pushed and tag.at and tag.at >= pushed)
    }


def _newest_images(tags: Iterable[DatedTag], count: int) -> set[str]:
    """Return the digests of the newest images; each is as new as its newest tag.

    Equal times are in the order of builds, then of versions: an adopted registry, or one push
    of many tags, gives the same time to all.
    """
    ordered = sorted(
        tags, key=lambda tag: (tag.at, tag.built_at or tag.at, version_key(tag.name)), reverse=True
    )
    return set(list(dict.fromkeys(map(_image_of, ordered)))[:count])


def _image_of(tag: DatedTag) -> str:
    """Return the digest of a tag; its own name if the index does not know its digest."""
    return tag.digest or tag.name


def _ago(now: datetime, days: int | None) -> datetime | None:
    return now - timedelta(days=days) if days else None
