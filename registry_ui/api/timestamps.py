"""Moments as the API writes them."""

from __future__ import annotations

from datetime import datetime


def iso_or_none(at: datetime | None) -> str | None:
    """Return a moment in ISO 8601, or None."""
    return at.isoformat() if at else None
