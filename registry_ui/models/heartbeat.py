"""Heartbeats: the time of the last event of each kind, one row per kind.

The constants are the names of the kinds. A reconcile compares the registry with the index (the
database's copy of the registry's tags), and corrects the index.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, bytewise

#: The last reconcile of the whole registry.
REGISTRY_READ = "registry_read"
#: The last reconcile of the whole registry that also read the digest of every tag.
DIGESTS_READ = "digests_read"
#: The last use of the gate (the check that a reverse proxy asks for before a push or deletion).
GATE_ASKED = "gate_asked"
#: Since when the registry is known to be a pull-through cache. Other registries have no such row.
REGISTRY_IS_CACHE = "registry_is_cache"


class Heartbeat(Base):
    """The time of the last event of one kind, such as a reconcile of the whole registry."""

    __tablename__ = "heartbeats"

    name: Mapped[str] = mapped_column(bytewise(50), primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
