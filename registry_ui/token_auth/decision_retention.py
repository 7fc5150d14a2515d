"""Retention of token endpoint decisions: by age, and by number for each category."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ..models import TokenDecision, utc_now
from .visitors import ACCOUNT, UNOWNED, VISITOR

#: Maximum number of decisions kept per category, whatever their age. Requests without
#: credentials have their own limits, so that they can't push out the decisions of accounts.
KEPT = {ACCOUNT: 1_000_000, VISITOR: 200_000, UNOWNED: 50_000}


def forget_old(session: Session, days: int) -> None:
    """Delete decisions older than ``days``, and the oldest of each category above its limit."""
    old = TokenDecision.at < utc_now() - timedelta(days=days)
    session.execute(delete(TokenDecision).where(old))
    for category, kept in KEPT.items():
        of_category = TokenDecision.category == category
        query = select(TokenDecision.id).where(of_category).order_by(TokenDecision.id.desc())
        beyond = session.scalar(query.offset(kept).limit(1))
        if beyond is not None:
            session.execute(delete(TokenDecision).where(of_category, TokenDecision.id <= beyond))
