"""Check protection rules for an image move: its tags leave one path and appear at another."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.orm import Session

from ..access import Permission, Role, repository_policy
from ..access.tag_rules import refusal
from ..names import is_binned


def first_refusal(
    session: Session,
    source: str,
    target: str,
    tags: Iterable[str],
    roles: tuple[Role | None, Role | None],
) -> str | None:
    """Return why a protection rule at either path refuses one of these tags, or None.

    A move deletes the tags at the old path and pushes them at the new one. Its calls bypass the
    gate, so the rules are checked here.

    Args:
        session: the database session.
        source: the old repository path.
        target: the new repository path.
        tags: the tags to check; deleted tags in the trash are skipped.
        roles: the requester's role in the project of the old path and in that of the new one.
    """
    here, there = repository_policy(session, source), repository_policy(session, target)
    if not here.rules and not there.rules:
        return None
    for tag in tags:
        if is_binned(tag):
            continue
        why = refusal(here.rules, here.image_name, tag, roles[0], Permission.DELETE, exists=True)
        if why is None:
            why = refusal(
                there.rules, there.image_name, tag, roles[1], Permission.PUSH, exists=False
            )
        if why is not None:
            return why
    return None
