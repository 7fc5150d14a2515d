"""Who may copy: to pull at the source and to push at the target, asked when it is planned
and again whenever the worker acts.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from ...access import Principal, Right, Role, decide, standing
from ...audit import CONSOLE
from ...errors import Denied
from ...token_auth.explain import role_of, subject_named


def require(session: Session, who: Principal, source: str, target: str) -> None:
    """Raise Denied, with the rule, unless someone may copy from one repository to another."""
    for repository, right in ((source, Right.PULL), (target, Right.PUSH)):
        decision = decide(who, standing(session, who, repository), right)
        if not decision.allowed:
            raise Denied(f"Not allowed: {decision.rule}.", hint="Ask an owner for the role.")


def still_may(session: Session, requested_by: str, source: str, target: str) -> str | None:
    """Return why whoever asked for a copy may not have it any more; None where they may."""
    if requested_by == CONSOLE.name:
        return None
    subject = subject_named(session, requested_by)
    if subject.problem:
        return subject.problem
    try:
        require(session, subject.principal, source, target)
    except Denied as error:
        return error.message.removeprefix("Not allowed: ").removesuffix(".")
    return None


def acting_role(session: Session, requested_by: str, repository: str) -> Role | None:
    """Return the role as protection rules count it, as it is now; the console's is Owner."""
    if requested_by == CONSOLE.name:
        return Role.OWNER
    return role_of(session, requested_by, repository)
