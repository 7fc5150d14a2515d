"""Permissions for copying tags: pull at the source repository and push at the target repository.

The permissions are checked when a copy is planned, when it is confirmed, and before each step.
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
    find_old_path,
    path_access_by_any_name,
    unowned,
    visible_places,
)
from ..accounts.subjects import current_role, find_subject
from ..audit import CONSOLE
from ..errors import Denied
from ..models import Project

#: Maximum number of projects suggested as the target of a copy; users can type any project.
MAX_SUGGESTED_PROJECTS = 200


def require(session: Session, principal: Principal, source: str, target: str) -> None:
    """Require that a user can pull from the source and push to the target of a copy.

    Args:
        session: the database session.
        principal: the user.
        source: the repository to copy from.
        target: the repository to copy to.

    Raises:
        Denied: the user lacks one of the permissions; the message gives the reason.
    """
    for repository, permission in ((source, Permission.PULL), (target, Permission.PUSH)):
        decision = _decide(session, principal, repository, permission)
        if not decision.allowed:
            raise Denied(f"Not allowed: {decision.rule}.", hint="Ask an owner for the role.")


def _decide(
    session: Session, principal: Principal, repository: str, permission: Permission
) -> Decision:
    """Decide, like the token endpoint, whether a user has a permission in a repository.

    Unlike the token endpoint, this function ignores write freezes (periods in which pushes are
    refused), because a write freeze only delays a copy. Nothing is copied to an old path, from
    which an image was moved: otherwise users with write access to the project that the image has
    left could change the content that others pull by the old path.

    Args:
        session: the database session.
        principal: the user.
        repository: current or old path of the repository.
        permission: Permission.PULL or Permission.PUSH.
    """
    access = path_access_by_any_name(session, principal, repository)
    if access.old_path is not None and not decide(principal, access, Permission.SEE).allowed:
        return Decision(False, unowned(repository))
    return decide_repository(principal, replace(access, freeze=None), permission)


def denial_reason(session: Session, requested_by: str, source: str, target: str) -> str | None:
    """Return why the requester of a copy is no longer allowed to make the copy, or None.

    Args:
        session: the database session.
        requested_by: user name of the requester.
        source: the repository to copy from.
        target: the repository to copy to.
    """
    if requested_by == CONSOLE.name:
        old_path = find_old_path(session, target)
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
    """Return the requester's current role in a repository, for protection rules.

    None if the requester has no role. The command line counts as an Owner.
    """
    if requested_by == CONSOLE.name:
        return Role.OWNER
    return current_role(session, requested_by, repository)


def offered_projects(
    session: Session, principal: Principal, *, members_only: bool = True
) -> list[str]:
    """Return the paths of projects to which a user can push: the first ones in sort order.

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
