"""Who gains and who loses a role, because something lies below another namespace."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access import Role
from ..models import Membership, Place, User


@dataclass(frozen=True, slots=True)
class RoleChange:
    """The role of a person before and after; "" for none."""

    username: str
    before: str
    after: str


def role_changes(
    session: Session, before: list[str], after: list[str], own: str = ""
) -> list[RoleChange]:
    """Return whose role changes, those first who lose it.

    Args:
        before, after: the paths from which roles are inherited.
        own: the path of what moves; roles in it stay.
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
    """Return who has which role at which of these paths."""
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
