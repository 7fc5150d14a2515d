"""What manifests make the registry keep, apart from their facts."""

from __future__ import annotations

from sqlalchemy import ForeignKey, LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, bytewise


class ManifestContents(Base):
    """The blobs of a manifest and the manifests that it names, small enough to read by thousands.

    ``blobs`` is packed as catalog/contents.py says, ``children`` are digests apart by spaces.
    """

    __tablename__ = "manifest_contents"

    digest: Mapped[str] = mapped_column(
        bytewise(150), ForeignKey("manifests.digest", ondelete="CASCADE"), primary_key=True
    )
    blobs: Mapped[bytes] = mapped_column(LargeBinary)
    children: Mapped[str] = mapped_column(Text)


class IndexChild(Base):
    """A manifest that an index lists: for finding the indexes that need a given manifest."""

    __tablename__ = "index_children"

    child: Mapped[str] = mapped_column(bytewise(150), primary_key=True)
    parent: Mapped[str] = mapped_column(
        bytewise(150),
        ForeignKey("manifests.digest", ondelete="CASCADE"),
        primary_key=True,
        index=True,
    )
