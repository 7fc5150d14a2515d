"""Contents of manifests: their blobs and child manifests, stored apart from their facts."""

from __future__ import annotations

from sqlalchemy import ForeignKey, LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, bytewise

#: Stands in place of a digest, if an index lists more manifests than are stored.
UNLISTED = "*"


class ManifestContents(Base):
    """Blobs and child manifests of a manifest, compact enough to read thousands of rows.

    ``blobs`` is packed by manifests/blobs.py. ``children`` are digests separated by spaces; the
    last one is UNLISTED if the index lists more than are stored.
    """

    __tablename__ = "manifest_contents"

    digest: Mapped[str] = mapped_column(
        bytewise(150), ForeignKey("manifests.digest", ondelete="CASCADE"), primary_key=True
    )
    blobs: Mapped[bytes] = mapped_column(LargeBinary)
    children: Mapped[str] = mapped_column(Text)


class IndexChild(Base):
    """An entry of an index, stored to find the indexes that need a given manifest.

    Every entry has a row, whatever its media type, because clients can pull anything that the
    registry serves. An index with too many entries has UNLISTED as its only child, which means
    that it can list any manifest.
    """

    __tablename__ = "index_children"

    child: Mapped[str] = mapped_column(bytewise(150), primary_key=True)
    parent: Mapped[str] = mapped_column(
        bytewise(150),
        ForeignKey("manifests.digest", ondelete="CASCADE"),
        primary_key=True,
        index=True,
    )
