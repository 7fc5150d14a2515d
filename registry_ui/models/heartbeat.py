"""Heartbeats: when something last happened, one row each."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, bytewise

#: Heartbeat of the last reconcile of the whole registry with the index.
REGISTRY_READ = "registry_read"
#: Heartbeat of the last such reconcile that also read the digest of every tag.
DIGESTS_READ = "digests_read"
#: Heartbeat of the gate: when a proxy last asked it about a push or a deletion.
GATE_ASKED = "gate_asked"
#: Since when the registry is known to be a pull-through cache. There is no row if it is not one.
REGISTRY_IS_CACHE = "registry_is_cache"


class Heartbeat(Base):
    """When something last happened, such as a reconcile of the whole registry."""

    __tablename__ = "heartbeats"

    name: Mapped[str] = mapped_column(bytewise(50), primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
