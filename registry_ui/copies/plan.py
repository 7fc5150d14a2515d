"""The plan of a copy: the preview for users and the steps for the worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from ..models import CopyStep, Project
from ..names import RepositoryName

#: Maximum number of tags and of referrers listed in a preview; the rest is only counted.
PREVIEW_LIMIT = 50
#: States of a planned tag at the target, and their order in a preview: tags that need attention
#: come first.
NEW, SAME, OVERWRITES, REFUSED = "new", "same", "overwrites", "refused"
ORDER = (REFUSED, OVERWRITES, NEW, SAME)


@dataclass(frozen=True, slots=True)
class CopyRequest:
    """The tags to copy and their destination.

    Attributes:
        kind: "tag", "tags", or "image".
        source: the source repository.
        source_project: path of the source's project; empty if it has none.
        target_project: the project that owns the target.
        target: the target repository.
        tags: tags of the source, each mapped to its name at the target.
        attached: whether referrers, such as signatures and SBOMs, are copied too.
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
    """A tag to copy, and the current state of its target.

    Attributes:
        source_tag: the tag at the source.
        tag: the tag at the target.
        digest: the digest to copy.
        state: one of ORDER.
        there: current digest of the tag at the target; empty if there is none.
        why: the rule or problem that refuses the copy; empty if nothing does.
    """

    source_tag: str
    tag: str
    digest: str
    state: str
    there: str = ""
    why: str = ""


@dataclass(slots=True)
class CopyPlan:
    """What a copy will do: the preview for users and the steps for the worker.

    Attributes:
        steps: the tags that the worker copies.
        tags, referrers: the first PREVIEW_LIMIT of each; ``tags_more`` and ``referrers_more`` count
            the rest.
        counts: number of tags in each state.
        attached: whether referrers are copied too.
        new_image: whether the target repository has no tags yet.
        size: total size in bytes of everything to copy, as far as known.
        new_size: the part of ``size`` that the target's project does not have yet.
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
    #: Whether the user allowed overwriting; set when the plan is confirmed.
    overwrite: bool = False
    #: Names of tags and manifests that could not be read, so they are not copied or their size is
    #: not known.
    unread: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def name(self, tags: list[PlannedCopy]) -> None:
        """Set the planned tags, tags that need attention first, and derive counts and steps."""
        tags = sorted(tags, key=lambda tag: (ORDER.index(tag.state), tag.source_tag))
        self.tags, self.tags_more = tags[:PREVIEW_LIMIT], len(tags[PREVIEW_LIMIT:])
        self.counts = dict(Counter(tag.state for tag in tags))
        self.steps = [
            CopyStep(self.source, tag.source_tag, tag.digest, self.target, tag.tag, tag.there)
            for tag in tags
            if tag.state != REFUSED and (self.attached or tag.state != SAME)
        ]

    def name_referrers(self, names: list[str]) -> None:
        """Set the referrer tags to copy: the names of the first, and the number of the rest."""
        self.referrers, self.referrers_more = names[:PREVIEW_LIMIT], len(names[PREVIEW_LIMIT:])

    def count(self, state: str) -> int:
        """Return the number of tags in a state."""
        return self.counts.get(state, 0)

    def preview(self) -> dict[str, Any]:
        """Return everything but the steps, to be stored and shown to users."""
        return {name: value for name, value in asdict(self).items() if name != "steps"}

    @classmethod
    def of_preview(cls, preview: dict[str, Any]) -> Self:
        """Return a plan for display, restored from its stored preview, without its steps."""
        names = {column.name for column in fields(cls)} - {"steps"}
        values = {name: value for name, value in preview.items() if name in names}
        return cls(**{**values, "tags": [PlannedCopy(**tag) for tag in preview["tags"]]})
