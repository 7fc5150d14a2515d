"""Whether whoever asked for a move may still do it: asked again before anything is switched."""

from __future__ import annotations

from sqlalchemy.orm import Session

from ...access import Right, decide, standing
from ...audit import CONSOLE
from ...models import Move
from ...names import Path
from ...token_auth.explain import subject_named
from .hold import MoveFailed


def require_right(session: Session, move: Move) -> None:
    """Raise MoveFailed where whoever asked has no longer the right, here or there.

    A namespace at the top can be made by everyone with an account.
    """
    if move.requested_by == CONSOLE.name:
        return
    subject = subject_named(session, move.requested_by)
    if subject.problem:
        raise MoveFailed(f"{move.requested_by} may not do this any more: {subject.problem}.")
    if move.kind == "image":
        wanted = [(move.source, Right.DELETE), (move.target, Right.PUSH)]
    else:
        above = Path(move.target).parent
        wanted = [(move.source, Right.REMOVE)]
        wanted += [(above, Right.CREATE)] if above else []
    for path, right in wanted:
        decision = decide(subject.principal, standing(session, subject.principal, path), right)
        if not decision.allowed:
            raise MoveFailed(f"{move.requested_by} may not do this any more: {decision.rule}.")
