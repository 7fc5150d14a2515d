"""The page of one tag: its manifest, layers, config, history, and attached documents."""

from .downloads import SbomView, config_bytes, manifest_bytes, sbom_view
from .page import TagViewOptions, tag_view
from .view_models import TagView

__all__ = [
    "SbomView",
    "TagView",
    "TagViewOptions",
    "config_bytes",
    "manifest_bytes",
    "sbom_view",
    "tag_view",
]
