"""How long decisions of the token endpoint are kept, and how many of each category."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ..models import TokenDecision, utc_now
from .visitors import ACCOUNT, UNOWNED, VISITOR

#: Maximum number of decisions that are kept, however young they are: strangers fill their own.
KEPT = {ACCOUNT: 1_000_000, VISITOR: 200_000, UNOWNED: 50_000}


def forget_old(session: Session, days: int) -> None:
    """Forget decisions older than so many days, and of each category all but the newest."""
    old = TokenDecision.at < utc_now() - timedelta(days=days)
    session.execute(delete(TokenDecision).where(old))
    for category, kept in KEPT.items():
        of_category = TokenDecision.category == category
        query = select(TokenDecision.id).where(of_category).order_by(TokenDecision.id.desc())
        beyond = session.scalar(query.offset(kept).limit(1))
        if beyond is not None:
            session.execute(delete(TokenDecision).where(of_category, TokenDecision.id <= beyond))
