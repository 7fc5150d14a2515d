"""What the page of one tag shows, as plain values."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from ..distribution.chart import Chart
from ..distribution.image_config import HistoryLine
from ..distribution.provenance import Provenance
from ..tags.rows import TagRow


@dataclass(frozen=True, slots=True)
class PlatformView:
    """A child of an index. An attestation is shown apart: it is no platform."""

    digest: str
    label: str
    size: int | None
    selected: bool
    is_attestation: bool


@dataclass(frozen=True, slots=True)
class LayerView:
    """A layer, the step that made it, and its share of the whole (0 to 1)."""

    digest: str
    size: int
    media_type: str
    created_by: str
    share: float


@dataclass(frozen=True, slots=True)
class FileView:
    """A layer of an artifact: a file with its name, as ORAS pushes it.

    ``size`` is None where the manifest does not say it.
    """

    title: str
    media_type: str
    digest: str
    size: int | None


@dataclass(frozen=True, slots=True)
class PullCommand:
    """How one client pulls it; ``by_digest`` is "" where the client can't."""

    client: str
    by_tag: str
    by_digest: str = ""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A label or an annotation. ``words`` say what one of the OCI specification means."""

    key: str
    value: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class DocumentView:
    """What an attached document says. ``about_other`` if it speaks of another image."""

    kind: str
    digest: str
    size: int
    predicate: str = ""
    problem: str = ""
    about_other: bool = False
    types: list[tuple[str, int]] = field(default_factory=list)
    provenance: Provenance | None = None

    @property
    def packages(self) -> int:
        """How many packages an SBOM lists."""
        return sum(count for _, count in self.types)


@dataclass(slots=True)
class ReferrerView:
    """Something that signs or describes the image. ``tag`` is "" beside it in its index.

    ``listed`` is how many referrers are listed under the tag, if it is a list of them.
    """

    kind: str
    words: str
    artifact_type: str
    digest: str
    tag: str
    size: int | None
    documents: list[DocumentView] = field(default_factory=list)
    listed: int = 0


@dataclass(frozen=True, slots=True)
class MomentView:
    """When a tag was pushed or removed, what it stood for, and who did it.

    ``source`` is the reference that it was copied from, "" where there is none to tell.
    """

    action: str
    digest: str
    pull_command: str
    at: datetime
    actor: str
    source: str = ""


@dataclass(slots=True)
class ConfigView:
    """An image configuration as the page prints it."""

    os: str
    architecture: str
    user: str
    workdir: str
    entrypoint: list[str]
    cmd: list[str]
    env: list[tuple[str, str]]
    ports: list[str]
    volumes: list[str]
    labels: list[Labelled]
    labels_total: int


@dataclass(slots=True)
class TagView(TagRow):
    """Everything that the page of one tag shows.

    ``subject`` is the digest of what it signs or describes, with the tags of that. ``blobs``
    are those of a build cache, and entries of an index that are no manifests.
    """

    media_type: str = ""
    artifact_type: str = ""
    artifact_words: str = ""
    commands: list[PullCommand] = field(default_factory=list)
    views: list[PlatformView] = field(default_factory=list)
    selected_digest: str = ""
    layers: list[LayerView] = field(default_factory=list)
    history: list[HistoryLine] = field(default_factory=list)
    config: ConfigView | None = None
    dockerfile: str = ""
    chart: Chart | None = None
    files: list[FileView] = field(default_factory=list)
    blobs: list[FileView] = field(default_factory=list)
    annotations: list[Labelled] = field(default_factory=list)
    annotations_total: int = 0
    raw_manifest: str = ""
    raw_config: str | None = None
    problems: list[str] = field(default_factory=list)
    referrers: list[ReferrerView] = field(default_factory=list)
    config_unreadable: bool = False
    subject: str = ""
    subject_tags: list[str] = field(default_factory=list)
    moments: list[MomentView] = field(default_factory=list)
    moments_total: int = 0

    def leave_out_content(self) -> None:
        """Keep only what may be seen by someone who may not pull."""
        self.layers, self.history, self.config, self.annotations = [], [], None, []
        self.raw_manifest, self.raw_config, self.config_unreadable = "", None, False
        self.dockerfile, self.chart, self.files, self.blobs = "", None, [], []

    @property
    def referrers_left_out(self) -> list[tuple[str, int, int]]:
        """The lists of referrers that are longer than what is shown of them.

        Each with its tag, how many referrers are shown, and how many it has.
        """
        totals = {each.tag: each.listed for each in self.referrers if each.listed}
        shown = Counter(each.tag for each in self.referrers)
        return [(tag, shown[tag], total) for tag, total in totals.items() if total > shown[tag]]
