"""Check protection rules for an image move: its tags leave one path and appear at another."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.orm import Session

from ..access import Permission, RepositoryPolicy, Role, repository_policy
from ..access.tag_rules import TagChange, refusal
from ..names import is_trash_tag


def first_refusal(
    session: Session,
    source: str,
    target: str,
    tags: Iterable[str],
    roles: tuple[Role | None, Role | None],
) -> str | None:
    """Return why a protection rule at either path refuses one of these tags, or None.

    A move deletes the tags at the old path and pushes them at the new one. The gate, which checks
    clients' pushes and deletions, does not see a move's calls, so the rules are checked here.

    Args:
        session: the database session.
        source: the old repository path.
        target: the new repository path.
        tags: the tags to check; deleted tags in the trash are skipped.
        roles: the requester's role in the project of the old path and in that of the new one.
    """
    source_policy = repository_policy(session, source)
    target_policy = repository_policy(session, target)
    if not source_policy.rules and not target_policy.rules:
        return None
    source_role, target_role = roles
    for tag in tags:
        if is_trash_tag(tag):
            continue
        reason = _find_refusal(source_policy, tag, source_role, Permission.DELETE)
        if reason is None:
            reason = _find_refusal(target_policy, tag, target_role, Permission.PUSH)
        if reason is not None:
            return reason
    return None


def _find_refusal(
    policy: RepositoryPolicy, tag: str, role: Role | None, permission: Permission
) -> str | None:
    """Return why a rule refuses to delete an existing tag or to push a new one, or None."""
    change = TagChange(tag, permission, exists=permission is Permission.DELETE)
    return refusal(policy.rules, policy.image_name, change, role)
