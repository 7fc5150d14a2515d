"""What protection rules say of an image that moves: its tags leave one name and come to another."""

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
    """Return why a rule refuses one of these tags, here or there; None where none does.

    A move deletes them by the old name and pushes them by the new one, and goes past the gate.

    Args:
        roles: of whoever wants it, in the project of the old name and in that of the new one.
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
