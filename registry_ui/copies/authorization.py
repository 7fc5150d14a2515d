"""Who may copy: who may pull at the source and push at the target.

Asked when it is planned, when it is confirmed, and again whenever the worker acts.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access import (
    Decision,
    Permission,
    Principal,
    Role,
    decide,
    decide_repository,
    former_name,
    path_access_by_any_name,
    unowned,
    visible_places,
)
from ..accounts.subjects import current_role, find_subject
from ..audit import CONSOLE
from ..errors import Denied
from ..models import Project

#: So many projects are offered as the target of a copy; any other may be typed.
OFFERED = 200


def require(session: Session, who: Principal, source: str, target: str) -> None:
    """Raise Denied, with the rule, unless someone may copy from one repository to another."""
    for repository, right in ((source, Permission.PULL), (target, Permission.PUSH)):
        decision = _decision(session, who, repository, right)
        if not decision.allowed:
            raise Denied(f"Not allowed: {decision.rule}.", hint="Ask an owner for the role.")


def _decision(session: Session, who: Principal, repository: str, right: Permission) -> Decision:
    """Decide as the token endpoint would, by an old name too; what is fenced is only waited for.

    Nothing is copied to an old name: whoever may write to the project that an image has left
    would decide what others pull by it.
    """
    here = path_access_by_any_name(session, who, repository)
    if here.former is not None and not decide(who, here, Permission.SEE).allowed:
        return Decision(False, unowned(repository))
    return decide_repository(who, replace(here, fence=None), right)


def denial_reason(session: Session, requested_by: str, source: str, target: str) -> str | None:
    """Return why whoever asked for a copy may not have it any more; None where they may."""
    if requested_by == CONSOLE.name:
        former = former_name(session, target)
        return former.refusal if former is not None else None
    subject = find_subject(session, requested_by)
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
    return current_role(session, requested_by, repository)


def offered_projects(session: Session, who: Principal, *, members_only: bool = True) -> list[str]:
    """Return the first projects by name to which someone may push, to be chosen from.

    Args:
        members_only: leave out projects to which an administrator may push as such.
    """
    mine = visible_places(session, who, Project, members_only=members_only, minimum=Role.DEVELOPER)
    query = select(Project.path).where(mine).order_by(Project.path).limit(OFFERED)
    return list(session.scalars(query))
