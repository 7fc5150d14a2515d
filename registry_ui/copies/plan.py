"""The plan for copying tags: the preview for users and the steps for the worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from ..models import CopyPreview, CopyStep, PlannedCopyData, Project
from ..names import RepositoryName

#: Maximum number of tags, and of referrers, in the preview of a copy; the rest are only counted.
PREVIEW_LIMIT = 50
#: States of a planned tag at the target, and their order in a preview: tags that need attention
#: come first.
NEW, SAME, OVERWRITES, REFUSED = "new", "same", "overwrites", "refused"
ORDER = (REFUSED, OVERWRITES, NEW, SAME)


@dataclass(frozen=True, slots=True)
class CopyRequest:
    """The tags to copy and their destination.

    Attributes:
        kind: "tag" for one tag, "tags" for several, or "image" for all tags.
        source: the source repository.
        source_project: path of the project that owns the source; empty if no project owns it.
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
    """A tag to copy, and the state of the target's tag when the copy was planned.

    Attributes:
        source_tag: the tag at the source.
        tag: the tag at the target.
        digest: the digest to copy.
        state: one of ORDER: ``new``, ``same`` (the target already has this digest),
            ``overwrites`` (it has a different digest), or ``refused``.
        target_digest: digest of the tag at the target; empty if the target has no such tag.
        why: the reason why the tag can't be copied; empty unless the state is ``refused``.
    """

    source_tag: str
    tag: str
    digest: str
    state: str
    target_digest: str = ""
    why: str = ""

    def to_json(self) -> PlannedCopyData:
        """Return the tag as a dictionary for JSON."""
        return {
            "source_tag": self.source_tag,
            "tag": self.tag,
            "digest": self.digest,
            "state": self.state,
            "there": self.target_digest,
            "why": self.why,
        }

    @classmethod
    def from_json(cls, data: PlannedCopyData) -> Self:
        """Return the tag that ``to_json()`` wrote."""
        return cls(
            data["source_tag"],
            data["tag"],
            data["digest"],
            data["state"],
            data["there"],
            data["why"],
        )


@dataclass(slots=True)
class CopyPlan:
    """The planned effects of a copy: the preview for users and the steps for the worker.

    Attributes:
        kind, source, target: as in CopyRequest.
        steps: the tags that the worker copies.
        tags, referrers: the planned tags and the names of the referrer tags, at most PREVIEW_LIMIT
            of each; ``tags_more`` and ``referrers_more`` count the rest.
        counts: number of tags in each state.
        attached: whether referrers, such as signatures, are copied, too.
        new_image: whether the target repository has no tags yet.
        size: total size in bytes of everything to copy; unknown sizes are not included.
        new_size: size in bytes of the blobs that the target's project does not have yet.
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
    #: Tags and manifests that could not be read: the tags are not copied, and the sizes of the
    #: manifests are not known.
    unread: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def name(self, tags: list[PlannedCopy]) -> None:
        """Set the tags of the plan, in the order of ORDER, and derive the counts and the steps."""
        tags = sorted(tags, key=lambda tag: (ORDER.index(tag.state), tag.source_tag))
        self.tags, self.tags_more = tags[:PREVIEW_LIMIT], len(tags[PREVIEW_LIMIT:])
        self.counts = dict(Counter(tag.state for tag in tags))
        self.steps = [
            CopyStep(
                self.source, tag.source_tag, tag.digest, self.target, tag.tag, tag.target_digest
            )
            for tag in tags
            if tag.state != REFUSED and (self.attached or tag.state != SAME)
        ]

    def name_referrers(self, names: list[str]) -> None:
        """Set the names of the referrer tags to copy; beyond PREVIEW_LIMIT, only their number."""
        self.referrers, self.referrers_more = names[:PREVIEW_LIMIT], len(names[PREVIEW_LIMIT:])

    def count(self, state: str) -> int:
        """Return the number of planned tags in a state of ORDER."""
        return self.counts.get(state, 0)

    def preview(self) -> CopyPreview:
        """Return all attributes except the steps as JSON data, to be stored and shown to users."""
        return {
            "kind": self.kind,
            "source": self.source,
            "target": self.target,
            "tags": [tag.to_json() for tag in self.tags],
            "tags_more": self.tags_more,
            "counts": self.counts,
            "attached": self.attached,
            "referrers": self.referrers,
            "referrers_more": self.referrers_more,
            "new_image": self.new_image,
            "size": self.size,
            "new_size": self.new_size,
            "overwrite": self.overwrite,
            "unread": self.unread,
            "notes": self.notes,
        }

    @classmethod
    def of_preview(cls, preview: CopyPreview) -> Self:
        """Return a plan for display, without steps, from the stored result of preview()."""
        names = {column.name for column in fields(cls)} - {"steps", "tags"}
        values: dict[str, Any] = {name: value for name, value in preview.items() if name in names}
        return cls(tags=[PlannedCopy.from_json(tag) for tag in preview["tags"]], **values)
