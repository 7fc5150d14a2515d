"""Notifications from the registry, and the tokens that authenticate them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, bytewise, utc_now

#: Reason why a push changed no image: no project owns the repository. Once a project owns
#: the repository, the push is applied to its image (catalog/earlier_pushes.py).
UNASSIGNED = "no project owns it: unassigned"
_IS_UNASSIGNED = text(f"reason = '{UNASSIGNED}'")


class RegistryEvent(Base):
    """One notification of the registry, stored on arrival.

    A notification is applied later to the index (the database's copy of the registry's tags).
    ``id`` is the order of arrival. ``event_id`` is the ID from the notification (opaque: UUIDv4 in
    Distribution 2.8, UUIDv7 in 3.x), or is derived from the body if the notification has none.
    """

    __tablename__ = "registry_events"
    __table_args__ = (
        CheckConstraint("status IN ('pending', 'applied', 'dropped', 'rejected')", name="status"),
        Index("ix_registry_events_status_id", "status", "id"),
        Index("ix_registry_events_image_id_id", "image_id", "id"),
        Index(
            "ix_registry_events_unassigned",
            "repository",
            sqlite_where=_IS_UNASSIGNED,
            postgresql_where=_IS_UNASSIGNED,
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(String(255), unique=True)
    received_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, index=True)
    occurred_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    action: Mapped[str] = mapped_column(String(50), default="")
    repository: Mapped[str] = mapped_column(bytewise(512), default="")
    tag: Mapped[str] = mapped_column(bytewise(255), default="")
    digest: Mapped[str] = mapped_column(bytewise(255), default="")
    actor: Mapped[str] = mapped_column(bytewise(255), default="")
    raw: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[str] = mapped_column(String(10), default="pending")
    reason: Mapped[str] = mapped_column(Text, default="")
    image_id: Mapped[int | None] = mapped_column(
        ForeignKey("container_images.id", ondelete="SET NULL")
    )


class RegistryToken(Base):
    """A secret with which the registry authenticates its notifications.

    At most one token is ``current``. After a reset, the token that the registry used before
    stays ``previous`` until the first event arrives with the new token, for at most 24 hours.
    The secret is encrypted, not only hashed, because an administrator might need to see it again.
    """

    __tablename__ = "registry_tokens"
    __table_args__ = (
        CheckConstraint("state IN ('current', 'previous', 'revoked')", name="state"),
        Index(
            "uq_registry_tokens_current",
            "state",
            unique=True,
            sqlite_where=text("state = 'current'"),
            postgresql_where=text("state = 'current'"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    secret_encrypted: Mapped[bytes] = mapped_column(LargeBinary)
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    state: Mapped[str] = mapped_column(String(10))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    created_by: Mapped[str] = mapped_column(bytewise(255))
    #: When a previous token stops being accepted.
    valid_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    first_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class RefusedDelivery(Base):
    """A client address that sent events without a valid registry token, and how often."""

    __tablename__ = "refused_deliveries"

    address: Mapped[str] = mapped_column(String(64), primary_key=True)
    count: Mapped[int] = mapped_column(default=0)
    first_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    last_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, index=True)
