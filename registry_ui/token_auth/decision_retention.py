"""Retention of token decisions (recorded answers of the token endpoint), by age and number."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ..models import TokenDecision, utc_now
from .visitors import ACCOUNT, UNOWNED, VISITOR

#: Maximum number of decisions kept per category, whatever their age. Requests without
#: credentials have their own limits, so that they can't push out the decisions of accounts.
MAX_DECISIONS = {ACCOUNT: 1_000_000, VISITOR: 200_000, UNOWNED: 50_000}


def forget_old(session: Session, days: int) -> None:
    """Delete decisions older than ``days``, and the oldest of each category above the limit."""
    is_old = TokenDecision.at < utc_now() - timedelta(days=days)
    session.execute(delete(TokenDecision).where(is_old))
    for category, limit in MAX_DECISIONS.items():
        of_category = TokenDecision.category == category
        query = select(TokenDecision.id).where(of_category).order_by(TokenDecision.id.desc())
        last_excess_id = session.scalar(query.offset(limit).limit(1))
        if last_excess_id is not None:
            session.execute(
                delete(TokenDecision).where(of_category, TokenDecision.id <= last_excess_id)
            )
