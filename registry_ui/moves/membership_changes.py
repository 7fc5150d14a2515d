"""Role changes caused by a move, because roles are inherited from the parent namespaces."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access import Role
from ..models import Membership, Place, User
from ..models.move import RoleChange


def role_changes(
    session: Session, before: list[str], after: list[str], place_path: str = ""
) -> list[RoleChange]:
    """Return the users whose effective role changes, lost and lowered roles first.

    Args:
        before: paths from which roles are inherited now.
        after: paths from which roles are inherited after the move.
        place_path: path of the namespace or project that moves, because roles granted there do not
            change; empty for an image.
    """
    roles = _load_roles(session, {*before, *after, place_path})
    changes = []
    for username, roles_by_path in sorted(roles.items()):
        old_role = max(roles_by_path.get(path, 0) for path in (*before, place_path))
        new_role = max(roles_by_path.get(path, 0) for path in (*after, place_path))
        if old_role != new_role:
            changes.append((old_role, new_role, username))
    changes.sort(key=lambda change: (change[1] > change[0], change[1], change[2]))
    return [
        RoleChange(
            username=name, before=_label_from_role(old_role), after=_label_from_role(new_role)
        )
        for old_role, new_role, name in changes
    ]


def _load_roles(session: Session, paths: set[str]) -> dict[str, dict[str, int]]:
    """Return the numeric role by username and path, for roles granted directly at these paths."""
    roles: dict[str, dict[str, int]] = {}
    members = (
        select(User.username, Place.path, Membership.role)
        .join(Membership, Membership.user_id == User.id)
        .join(Place, Place.id == Membership.place_id)
        .where(Place.path.in_(paths))
    )
    for username, path, role in session.execute(members):
        roles.setdefault(username, {})[path] = role
    owners = select(User.username, Place.path).join(Place, Place.owner_id == User.id)
    for username, path in session.execute(owners.where(Place.path.in_(paths))):
        roles.setdefault(username, {})[path] = int(Role.OWNER)
    return roles


def _label_from_role(role: int) -> str:
    return Role(role).label if role else ""
