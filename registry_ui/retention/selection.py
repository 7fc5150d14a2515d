"""Selection of the tags that a retention policy would delete now, and matches of its patterns."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from sqlalchemy import select

from ..access import at_or_below
from ..db.session import db
from ..errors import Invalid
from ..models import ContainerImage, Place, utc_now
from ..names import subject_of
from ..patterns.glob import MatchCounter
from ..tags.match_counts import pluralize
from ..tags.orphans import orphans
from ..tags.selection import dated_tags
from .rules import Rules, removable


class KeepsNothing(Invalid):
    """A keep pattern matches no tag, and the user did not confirm that pattern.

    Attributes:
        patterns: all keep patterns that match no tag, including the confirmed ones.
    """

    def __init__(self, patterns: list[str], unconfirmed: list[str]) -> None:
        quoted_patterns = ", ".join(f"“{pattern}”" for pattern in unconfirmed)
        message = f"No tag matches {quoted_patterns} now, so nothing is kept by it."
        super().__init__(
            "The policy was not saved.",
            {"keep_matching": message},
            hint="Correct the pattern, or confirm it; programs list it in “confirm_unmatched”.",
        )
        self.patterns = patterns


@dataclass(slots=True)
class Selection:
    """Tags that a retention policy selects for deletion in a namespace or project.

    Attributes:
        tags_to_delete: images, each with the names of its tags that no rule keeps.
        images: number of images that the policy applies to.
        tags: number of tags of these images, without signatures.
        kept_by_name: number of these tags that match the keep pattern.
        keeps_nothing: parts of the keep pattern that match no tag of these images.
    """

    tags_to_delete: list[tuple[ContainerImage, Collection[str]]] = field(default_factory=list)
    images: int = 0
    tags: int = 0
    kept_by_name: int = 0
    keeps_nothing: list[str] = field(default_factory=list)

    def require_confirmed(self, confirmed: Collection[str]) -> None:
        """Raise KeepsNothing unless all keep patterns that match no tag are in ``confirmed``."""
        unconfirmed = [pattern for pattern in self.keeps_nothing if pattern not in confirmed]
        if unconfirmed:
            raise KeepsNothing(self.keeps_nothing, unconfirmed)

    def notes(self, rules: Rules) -> list[str]:
        """Return sentences that say what the patterns match now."""
        description = f"{pluralize(self.tags, 'tag')} in {pluralize(self.images, 'image')}"
        notes = [f"The pattern “{rules.images}” matches {description} now."]
        if rules.keep_matching:
            kept_tags = pluralize(self.kept_by_name, "of these tags", "of these tags")
            notes.append(f"Kept by name: “{rules.keep_matching}” matches {kept_tags}.")
        notes += [f"No tag matches “{p}” now: nothing is kept by it." for p in self.keeps_nothing]
        return notes


def select_tags(place: Place, rules: Rules) -> Selection:
    """Return the tags that the rules select for deletion now.

    The tags are read from the index, the database's copy of the registry's tags.

    Raises:
        Invalid: a stored pattern is invalid.
    """
    image_pattern, keep_pattern, now = rules.image_pattern(), rules.keep_pattern(), utc_now()
    counter = MatchCounter(keep_pattern) if keep_pattern else None
    selection = Selection()
    query = select(ContainerImage).where(at_or_below(ContainerImage.path, place.path))
    for image in db.session.scalars(query.order_by(ContainerImage.path)).all():
        if not image_pattern.matches(image.path[len(place.path) + 1 :]):
            continue
        tags = dated_tags(image)
        names = [tag.name for tag in tags if subject_of(tag.name) is None]
        selection.images += 1
        selection.tags += len(names)
        if counter:
            counter.add(names)
        orphaned = orphans(image) if len(names) < len(tags) else ()
        to_delete = removable(tags, rules, now, orphaned)
        if to_delete:
            selection.tags_to_delete.append((image, to_delete))
    if counter:
        selection.kept_by_name, selection.keeps_nothing = counter.count, counter.unmatched
    return selection
