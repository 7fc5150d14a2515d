"""Blobs and child manifests of manifests, apart from the other parsed data (models/image.py)."""

from __future__ import annotations

from sqlalchemy import ForeignKey, LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, bytewise

#: Placeholder for a digest. It means that an OCI index lists more manifests than are stored here.
UNLISTED = "*"


class ManifestContents(Base):
    """Blobs and child manifests of a manifest, compact enough to read thousands of rows.

    ``blobs`` is packed by manifests/blobs.py. ``children`` are digests separated by spaces; the
    last one is UNLISTED if the OCI index lists more than are stored.
    """

    __tablename__ = "manifest_contents"

    digest: Mapped[str] = mapped_column(
        bytewise(150), ForeignKey("manifests.digest", ondelete="CASCADE"), primary_key=True
    )
    blobs: Mapped[bytes] = mapped_column(LargeBinary)
    children: Mapped[str] = mapped_column(Text)


class IndexChild(Base):
    """An entry of an OCI index, stored to find the OCI indexes that need a given manifest.

    Every entry has a row, whatever its media type, because clients can pull anything that the
    registry serves. An OCI index with too many entries has UNLISTED as its only child, which means
    that any manifest can be among its entries.
    """

    __tablename__ = "index_children"

    child: Mapped[str] = mapped_column(bytewise(150), primary_key=True)
    parent: Mapped[str] = mapped_column(
        bytewise(150),
        ForeignKey("manifests.digest", ondelete="CASCADE"),
        primary_key=True,
        index=True,
    )
