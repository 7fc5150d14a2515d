"""A pull by digest that may count for tags whose manifests were not read yet."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, bytewise


class WaitingPull(Base):
    """The last pull of a digest, kept until every tag of the image was read.

    Tags that are read later may consist of it, too.
    """

    __tablename__ = "waiting_pulls"

    image_id: Mapped[int] = mapped_column(
        ForeignKey("container_images.id", ondelete="CASCADE"), primary_key=True
    )
    digest: Mapped[str] = mapped_column(bytewise(150), primary_key=True, index=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
