"""What the page of one tag shows, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...distribution.manifest import HistoryLine
from ..tags import TagRow


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
    labels: list[tuple[str, str]]


@dataclass(slots=True)
class TagView(TagRow):
    """Everything that the page of one tag shows."""

    media_type: str = ""
    artifact_type: str = ""
    pull_by_digest: str = ""
    views: list[PlatformView] = field(default_factory=list)
    selected_digest: str = ""
    layers: list[LayerView] = field(default_factory=list)
    history: list[HistoryLine] = field(default_factory=list)
    config: ConfigView | None = None
    annotations: list[tuple[str, str]] = field(default_factory=list)
    raw_manifest: str = ""
    raw_config: str | None = None
    problems: list[str] = field(default_factory=list)
    referrers: list[tuple[str, str]] = field(default_factory=list)

    def leave_out_content(self) -> None:
        """Keep only what may be seen by someone who may not pull."""
        self.layers, self.history, self.config, self.annotations = [], [], None, []
        self.raw_manifest, self.raw_config = "", None
