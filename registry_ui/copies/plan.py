"""A copy as it is planned: what people see of it, and the steps that the worker takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from ..models import CopyStep, Project
from ..names import RepositoryName

#: So many tags and referrers are named in a preview; the rest is counted.
NAMED = 50
#: What a planned tag is at the target; what needs a look comes first.
NEW, SAME, OVERWRITES, REFUSED = "new", "same", "overwrites", "refused"
ORDER = (REFUSED, OVERWRITES, NEW, SAME)


@dataclass(frozen=True, slots=True)
class CopyRequest:
    """Which tags somebody wants to have where.

    ``source`` is a repository and ``source_project`` the path of its project, "" if it has none.
    ``tags`` are those of the source, each with its name at the target; ``attached``
    whether what signs or describes them goes along.
    """

    kind: str
    source: str
    source_project: str
    target_project: Project
    target: RepositoryName
    tags: Mapping[str, str]
    attached: bool = True


@dataclass(frozen=True, slots=True)
class PlannedCopy:
    """A tag, its name at the target, and what is there under that name.

    ``state`` is one of ORDER. ``there`` is the digest that the name stands for now, ``why``
    the rule that refuses the copy.
    """

    source_tag: str
    tag: str
    digest: str
    state: str
    there: str = ""
    why: str = ""


@dataclass(slots=True)
class CopyPlan:
    """What a copy will do, for people and for the worker (``steps``).

    ``tags`` and ``referrers`` name the first fifty and count the rest; ``counts`` has how
    many tags are in which state. ``size`` is the bytes of all that is copied, and
    ``new_size`` those that the target's project does not have yet: what is known of them.
    """

    kind: str
    source: str
    target: str
    steps: list[CopyStep] = field(default_factory=list)
    tags: list[PlannedCopy] = field(default_factory=list)
    tags_more: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    attached: bool = True
    referrers: list[str] = field(default_factory=list)
    referrers_more: int = 0
    new_image: bool = False
    size: int = 0
    new_size: int = 0
    #: Whether overwriting was ticked; known once the plan is confirmed.
    overwrite: bool = False
    #: Names what could not be read, and therefore is not copied or not known.
    unread: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def name(self, tags: list[PlannedCopy]) -> None:
        """Note the planned tags: the first by name, what needs a look before the rest."""
        tags = sorted(tags, key=lambda tag: (ORDER.index(tag.state), tag.source_tag))
        self.tags, self.tags_more = tags[:NAMED], len(tags[NAMED:])
        self.counts = dict(Counter(tag.state for tag in tags))
        self.steps = [
            CopyStep(self.source, tag.source_tag, tag.digest, self.target, tag.tag, tag.there)
            for tag in tags
            if tag.state != REFUSED and (self.attached or tag.state != SAME)
        ]

    def name_referrers(self, names: list[str]) -> None:
        """Note the tags that go along: the first by name, the rest by number."""
        self.referrers, self.referrers_more = names[:NAMED], len(names[NAMED:])

    def count(self, state: str) -> int:
        """Return how many tags are in a state."""
        return self.counts.get(state, 0)

    def preview(self) -> dict[str, Any]:
        """Return what is stored for people: everything but the steps."""
        return {name: value for name, value in asdict(self).items() if name != "steps"}

    @classmethod
    def of_preview(cls, preview: dict[str, Any]) -> Self:
        """Return a stored plan for people; its steps stay in the store."""
        known = {f.name for f in fields(cls)} - {"steps"}
        values = {name: value for name, value in preview.items() if name in known}
        return cls(**{**values, "tags": [PlannedCopy(**tag) for tag in preview["tags"]]})
