"""One tag in full: what it points to, how it was made, what it will run."""

from .page import tag_view
from .view import TagView

__all__ = ["TagView", "tag_view"]
