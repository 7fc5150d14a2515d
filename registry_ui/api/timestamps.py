"""Format of timestamps in the JSON responses of the API."""

from __future__ import annotations

from datetime import datetime


def iso_or_none(at: datetime | None) -> str | None:
    """Return a timestamp in ISO 8601 format; None for no timestamp."""
    return at.isoformat() if at else None
