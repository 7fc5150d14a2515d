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
MAX_SUGGESTED_PROJECTS = 200


def require(session: Session, principal: Principal, source: str, target: str) -> None:
    """Raise Denied unless the user may pull from the source and push to the target.

    Args:
        session: the database session.
        principal: the user.
        source: the repository to copy from.
        target: the repository to copy to.

    Raises:
        Denied: with the rule that refuses it.
    """
    for repository, permission in ((source, Permission.PULL), (target, Permission.PUSH)):
        decision = _decide(session, principal, repository, permission)
        if not decision.allowed:
            raise Denied(f"Not allowed: {decision.rule}.", hint="Ask an owner for the role.")


def _decide(
    session: Session, principal: Principal, repository: str, permission: Permission
) -> Decision:
    """Decide like the token endpoint, including old paths, but ignore write freezes.

    A write freeze only delays a copy. Nothing is copied to an old path: otherwise users who may
    write to the project that an image has left could change what others pull by that path.
    """
    access = path_access_by_any_name(session, principal, repository)
    if access.former is not None and not decide(principal, access, Permission.SEE).allowed:
        return Decision(False, unowned(repository))
    return decide_repository(principal, replace(access, fence=None), permission)


def denial_reason(session: Session, requested_by: str, source: str, target: str) -> str | None:
    """Return the reason the requester is no longer allowed to make this copy, or None."""
    if requested_by == CONSOLE.name:
        old_path = former_name(session, target)
        return old_path.refusal if old_path is not None else None
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


def offered_projects(
    session: Session, principal: Principal, *, members_only: bool = True
) -> list[str]:
    """Return the first projects, by path, to which a user may push.

    Args:
        session: the database session.
        principal: the user.
        members_only: whether to omit projects that the user can push to only as an administrator.
    """
    can_push = visible_places(
        session, principal, Project, members_only=members_only, minimum=Role.DEVELOPER
    )
    query = (
        select(Project.path).where(can_push).order_by(Project.path).limit(MAX_SUGGESTED_PROJECTS)
    )
    return list(session.scalars(query))
