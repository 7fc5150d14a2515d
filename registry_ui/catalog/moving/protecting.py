"""What protection rules say of an image that moves: its tags leave one name and come to another."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.orm import Session

from ...access import Right, Role, guard
from ...access.protection import Protection, refusal
from ...names import RepositoryName, is_binned


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
    here, there = _rules(session, source), _rules(session, target)
    if not here[0] and not there[0]:
        return None
    for tag in tags:
        if is_binned(tag):
            continue
        why = refusal(*here, tag, roles[0], Right.DELETE, exists=True)
        why = why or refusal(*there, tag, roles[1], Right.PUSH, exists=False)
        if why is not None:
            return why
    return None


def _rules(session: Session, repository: str) -> tuple[list[Protection], str]:
    """Return the rules over a repository, and its name in the project that has them."""
    found = guard(session, repository)
    name = RepositoryName(repository).below(found.project) if found.project else ""
    return found.rules, name
