"""Signs of life and other facts of one row each."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, bytewise

#: When the whole registry was last compared with the index.
REGISTRY_READ = "registry_read"
#: When that included what every tag stands for.
DIGESTS_READ = "digests_read"
#: When the gate was last asked about a push or a deletion.
GATE_ASKED = "gate_asked"
#: Since when the registry is known to be a pull-through cache; there is no row if it is none.
REGISTRY_IS_CACHE = "registry_is_cache"


class Heartbeat(Base):
    """When something last ran: the worker, the reconcile of the whole registry."""

    __tablename__ = "heartbeats"

    name: Mapped[str] = mapped_column(bytewise(50), primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
