"""Check, before each step, whether a removal is still permitted.

A write freeze can delay a confirmed removal for hours. Meanwhile, the protection rules and the role
of the user who asked for the removal can change.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access import REMOVAL_PERMISSIONS, Permission, Role, decide, path_access, role_for_rules
from ..accounts.subjects import find_subject
from ..audit import CONSOLE, is_internal
from ..models import MovedRepository, Place, Removal, RemovalStep
from .rule_check import first_refusal


def denial_reason(session: Session, removal: Removal, step: RemovalStep) -> str | None:
    """Return why a step is no longer permitted, or None if it is still permitted.

    A removal that is part of a move is always permitted, because the move itself was authorized.
    """
    place = session.get(Place, removal.project_id) if removal.project_id else None
    reason = None if place is None else _find_denial_reason(session, removal, place, step)
    return None if reason is not None and _is_part_of_move(session, removal) else reason


def _find_denial_reason(
    session: Session, removal: Removal, place: Place, step: RemovalStep
) -> str | None:
    if is_internal(removal.requested_by):
        role = Role.OWNER if removal.requested_by == CONSOLE.name else None
        return first_refusal(session, place, [step], role)
    subject = find_subject(session, removal.requested_by)
    principal = subject.principal
    access = path_access(session, principal, place.path)
    decision = decide(principal, access, REMOVAL_PERMISSIONS.get(removal.kind, Permission.DELETE))
    if subject.problem or not decision.allowed:
        reason = subject.problem or decision.rule
        return f"{removal.requested_by} can no longer delete this: {reason}"
    role = role_for_rules(principal, access)
    return first_refusal(session, place, [step], role)


def _is_part_of_move(session: Session, removal: Removal) -> bool:
    query = select(MovedRepository.number).where(MovedRepository.removal_id == removal.id)
    return session.execute(query.limit(1)).first() is not None
