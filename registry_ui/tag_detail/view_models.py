"""View models of the page of one tag."""

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
    """A child of an OCI index: a platform, or an attestation, which the page shows separately.

    ``size`` is in bytes; None if the manifest of the child is not stored.
    """

    digest: str
    label: str
    size: int | None
    selected: bool
    is_attestation: bool


@dataclass(frozen=True, slots=True)
class LayerView:
    """A layer with its size in bytes and its share of the image's total size (0 to 1).

    ``created_by`` is the history step that created the layer; "" if it is not known.
    """

    digest: str
    size: int
    media_type: str
    created_by: str
    share: float


@dataclass(frozen=True, slots=True)
class FileView:
    """A blob of a manifest as a file with its name, such as a file that ORAS has pushed.

    ``size`` is in bytes; None if the manifest does not state it.
    """

    title: str
    media_type: str
    digest: str
    size: int | None


@dataclass(frozen=True, slots=True)
class PullCommand:
    """Commands of a client that pull a tag by name or digest; ``by_digest`` is "" for none."""

    client: str
    by_tag: str
    by_digest: str = ""


@dataclass(frozen=True, slots=True)
class Labeled:
    """An image label or annotation. ``label`` describes an OCI standard key; "" for other keys."""

    key: str
    value: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class DocumentView:
    """A document attached to an image, such as an SBOM, and a summary of its contents.

    ``about_other`` is True if the document describes a different image. ``types`` are the types of
    packages in an SBOM, with the number of packages of each. ``problem`` is the reason why the
    document was not read; "" if it was. ``size`` is in bytes.
    """

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
        """The number of packages that an SBOM lists."""
        return sum(count for _, count in self.types)


@dataclass(slots=True)
class ReferrerView:
    """A referrer: a manifest that signs or describes the image.

    ``tag`` is the digest tag (such as ``sha256-….sig``) under which the referrer was found; "" for
    a child of the image's OCI index. ``listed`` is the number of referrers in the OCI index that
    the digest tag points to; 0 if it points to no index. ``label`` is the user-visible label.
    ``size`` is in bytes; None if the manifest is not stored.
    """

    kind: str
    label: str
    artifact_type: str
    digest: str
    tag: str
    size: int | None
    documents: list[DocumentView] = field(default_factory=list)
    listed: int = 0


@dataclass(frozen=True, slots=True)
class MomentView:
    """A history entry of a tag: an action such as a push or removal, the digest, and the user.

    ``source`` is the reference that the tag was copied from; "" if it was not copied, or if the
    user who views the page can't see the source.
    """

    action: str
    digest: str
    pull_command: str
    at: datetime
    actor: str
    source: str = ""


@dataclass(slots=True)
class ConfigView:
    """An image config as the page shows it.

    ``labels_total`` also counts labels that are not in ``labels``, because there are too many.
    """

    os: str
    architecture: str
    user: str
    workdir: str
    entrypoint: list[str]
    cmd: list[str]
    env: list[tuple[str, str]]
    ports: list[str]
    volumes: list[str]
    labels: list[Labeled]
    labels_total: int


@dataclass(slots=True)
class TagView(TagRow):
    """Everything that the page of one tag shows.

    ``subject`` is the digest of the manifest that the tag signs or describes, and ``subject_tags``
    are the tags of that manifest. ``views`` are the children of an OCI index. ``blobs`` are the
    blobs of a build cache or schema 1 image, and entries of an OCI index that are not manifests.
    ``moments`` are the history entries that are shown, out of ``moments_total``.
    """

    media_type: str = ""
    artifact_type: str = ""
    artifact_label: str = ""
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
    annotations: list[Labeled] = field(default_factory=list)
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
        """Clear all fields that only users with the pull permission are allowed to see."""
        self.layers, self.history, self.config, self.annotations = [], [], None, []
        self.raw_manifest, self.raw_config, self.config_unreadable = "", None, False
        self.dockerfile, self.chart, self.files, self.blobs = "", None, [], []

    @property
    def referrers_left_out(self) -> list[tuple[str, int, int]]:
        """The digest tags whose OCI index lists more referrers than are shown.

        Each item is the tag, the number of referrers shown, and the number that the index lists.
        """
        totals = {referrer.tag: referrer.listed for referrer in self.referrers if referrer.listed}
        shown = Counter(referrer.tag for referrer in self.referrers)
        return [(tag, shown[tag], total) for tag, total in totals.items() if total > shown[tag]]
