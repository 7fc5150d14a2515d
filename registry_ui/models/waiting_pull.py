"""Pulls by digest that can count for tags whose manifests were not read yet."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, bytewise


class WaitingPull(Base):
    """The last pull of a digest from an image, kept until the manifests of all tags are read.

    The manifest of a tag that is read later can include this digest. The pull then counts for that
    tag.
    """

    __tablename__ = "waiting_pulls"

    image_id: Mapped[int] = mapped_column(
        ForeignKey("container_images.id", ondelete="CASCADE"), primary_key=True
    )
    digest: Mapped[str] = mapped_column(bytewise(150), primary_key=True, index=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
