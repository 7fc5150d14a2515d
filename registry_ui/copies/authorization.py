"""Permissions for copies: pull at the source and push at the target.

They are checked when a copy is planned, when it is confirmed, and before each of its steps.
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

#: Maximum number of projects suggested as the target of a copy; users can type any other.
OFFERED = 200


def require(session: Session, who: Principal, source: str, target: str) -> None:
    """Raise Denied unless the user may pull from the source and push to the target.

    Args:
        session: the database session.
        who: the user.
        source: the repository to copy from.
        target: the repository to copy to.

    Raises:
        Denied: with the rule that refuses it.
    """
    for repository, right in ((source, Permission.PULL), (target, Permission.PUSH)):
        decision = _decision(session, who, repository, right)
        if not decision.allowed:
            raise Denied(f"Not allowed: {decision.rule}.", hint="Ask an owner for the role.")


def _decision(session: Session, who: Principal, repository: str, right: Permission) -> Decision:
    """Decide like the token endpoint, including old paths, but ignore write freezes.

    A write freeze only delays a copy. Nothing is copied to an old path: otherwise users who may
    write to the project that an image has left could change what others pull by that path.
    """
    here = path_access_by_any_name(session, who, repository)
    if here.former is not None and not decide(who, here, Permission.SEE).allowed:
        return Decision(False, unowned(repository))
    return decide_repository(who, replace(here, fence=None), right)


def denial_reason(session: Session, requested_by: str, source: str, target: str) -> str | None:
    """Return the reason the requester is no longer allowed to make this copy, or None."""
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
    """Return the requester's current role for protection rules; the console acts as Owner."""
    if requested_by == CONSOLE.name:
        return Role.OWNER
    return current_role(session, requested_by, repository)


def offered_projects(session: Session, who: Principal, *, members_only: bool = True) -> list[str]:
    """Return the first projects, by path, to which a user may push.

    Args:
        session: the database session.
        who: the user.
        members_only: whether to omit projects that the user can push to only as an administrator.
    """
    mine = visible_places(session, who, Project, members_only=members_only, minimum=Role.DEVELOPER)
    query = select(Project.path).where(mine).order_by(Project.path).limit(OFFERED)
    return list(session.scalars(query))
