"""What manifests make the registry keep, apart from their facts."""

from __future__ import annotations

from sqlalchemy import ForeignKey, LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, bytewise

#: In place of a digest: the index lists more than is kept.
UNLISTED = "*"


class ManifestContents(Base):
    """The blobs of a manifest and the manifests that it names, small enough to read by thousands.

    ``blobs`` is packed as manifests/blobs.py says, ``children`` are digests apart by spaces;
    the last one is UNLISTED if there are more than are kept.
    """

    __tablename__ = "manifest_contents"

    digest: Mapped[str] = mapped_column(
        bytewise(150), ForeignKey("manifests.digest", ondelete="CASCADE"), primary_key=True
    )
    blobs: Mapped[bytes] = mapped_column(LargeBinary)
    children: Mapped[str] = mapped_column(Text)


class IndexChild(Base):
    """An entry of an index: for finding the indexes that need a given manifest.

    Every entry has a row, whatever its media type: clients pull what the registry serves. An
    index with too many of them has the one child UNLISTED: any manifest may be in it.
    """

    __tablename__ = "index_children"

    child: Mapped[str] = mapped_column(bytewise(150), primary_key=True)
    parent: Mapped[str] = mapped_column(
        bytewise(150),
        ForeignKey("manifests.digest", ondelete="CASCADE"),
        primary_key=True,
        index=True,
    )
