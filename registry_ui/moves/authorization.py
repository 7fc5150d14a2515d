"""Check whether the requester of a move still has permission, repeated before the switch."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access import Permission, decide, path_access
from ..accounts.subjects import find_subject
from ..audit import is_internal
from ..copies.authorization import acting_role
from ..models import ContainerImage, CopiedTag, Move, Tag
from ..names import PlacePath
from ..operations.errors import OperationFailed
from .rule_check import first_refusal


def require_right(session: Session, move: Move) -> None:
    """Raise OperationFailed if the requester no longer has permission at the source or the target.

    A top-level target needs no permission, because any account can create a top-level namespace
    unless its name is restricted. For an image, the protection rules are checked again too: rules
    or tags can have been added since the plan.
    """
    if not is_internal(move.requested_by):
        _require_roles(session, move)
    if move.kind == "image":
        _require_unprotected(session, move)


def _require_roles(session: Session, move: Move) -> None:
    subject = find_subject(session, move.requested_by)
    if subject.problem:
        raise OperationFailed(f"{move.requested_by} can no longer do this: {subject.problem}.")
    if move.kind == "image":
        requirements = [(move.source, Permission.DELETE), (move.target, Permission.PUSH)]
    else:
        parent = PlacePath(move.target).parent
        requirements = [(move.source, Permission.REMOVE)]
        requirements += [(parent, Permission.CREATE)] if parent else []
        if (
            parent is None
            and PlacePath(move.target).is_restricted
            and not subject.principal.is_admin
        ):
            raise OperationFailed(
                f"{move.requested_by} can no longer do this: only administrators can."
            )
    for path, permission in requirements:
        decision = decide(
            subject.principal, path_access(session, subject.principal, path), permission
        )
        if not decision.allowed:
            raise OperationFailed(f"{move.requested_by} can no longer do this: {decision.rule}.")


def _require_unprotected(session: Session, move: Move) -> None:
    indexed = select(Tag.name).join(ContainerImage, ContainerImage.id == Tag.image_id)
    names = set(session.scalars(indexed.where(ContainerImage.path == move.source)))
    # Include tags that were pushed so recently that the database does not have them yet.
    names.update(session.scalars(select(CopiedTag.tag).where(CopiedTag.move_id == move.id)))
    source_role = acting_role(session, move.requested_by, move.source)
    target_role = acting_role(session, move.requested_by, move.target)
    roles = (source_role, target_role)
    reason = first_refusal(session, move.source, move.target, sorted(names), roles)
    if reason is not None:
        raise OperationFailed(f"A rule now refuses this: {reason}.")
