"""Role changes caused by a move, because roles are inherited from the parent namespaces."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access import Role
from ..models import Membership, Place, User


@dataclass(frozen=True, slots=True)
class RoleChange:
    """The role of a user before and after a move, by label; empty if the user has none."""

    username: str
    before: str
    after: str


def role_changes(
    session: Session, before: list[str], after: list[str], own: str = ""
) -> list[RoleChange]:
    """Return the users whose effective role changes, lost and lowered roles first.

    Args:
        before: paths from which roles are inherited now.
        after: paths from which roles are inherited after the move.
        own: path of the place that moves, because roles granted there do not change; empty for an
            image.
    """
    roles = _roles(session, {*before, *after, own})
    changes = []
    for username, at in sorted(roles.items()):
        old = max((at[path] for path in (*before, own) if path in at), default=None)
        new = max((at[path] for path in (*after, own) if path in at), default=None)
        if old != new:
            changes.append((old or 0, new or 0, username))
    changes.sort(key=lambda change: (change[1] > change[0], change[1], change[2]))
    return [RoleChange(name, _label(old), _label(new)) for old, new, name in changes]


def _roles(session: Session, paths: set[str]) -> dict[str, dict[str, int]]:
    """Return the roles granted directly at these paths: username to path to numeric role."""
    found: dict[str, dict[str, int]] = {}
    members = (
        select(User.username, Place.path, Membership.role)
        .join(Membership, Membership.user_id == User.id)
        .join(Place, Place.id == Membership.place_id)
        .where(Place.path.in_(paths))
    )
    for username, path, role in session.execute(members):
        found.setdefault(username, {})[path] = role
    owners = select(User.username, Place.path).join(Place, Place.owner_id == User.id)
    for username, path in session.execute(owners.where(Place.path.in_(paths))):
        found.setdefault(username, {})[path] = int(Role.OWNER)
    return found


def _label(role: int) -> str:
    return Role(role).label if role else ""
