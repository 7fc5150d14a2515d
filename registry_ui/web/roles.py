"""Help page that lists the permissions of each role."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, render_template

from ..access import RULES, Role

blueprint = Blueprint("help", __name__, url_prefix="/-/help")

_BY_VISIBILITY = "Anyone, in a public project; any signed-in user, in an internal one"


@dataclass(frozen=True, slots=True)
class RoleCell:
    """Whether a role has a permission."""

    role: str
    is_allowed: bool


@dataclass(frozen=True, slots=True)
class RightRow:
    """A permission, and which roles have it."""

    label: str
    description: str
    cells: list[RoleCell]


@blueprint.get("/roles")
def roles() -> str:
    """Show the table of permissions that all access decisions are based on."""
    rights = [
        RightRow(
            label=str(rule.permission).replace("_", " ").capitalize(),
            description=f"{rule.description}. {_BY_VISIBILITY}"
            if rule.by_visibility
            else rule.description,
            cells=[RoleCell(role.label, role >= rule.minimum) for role in Role],
        )
        for rule in RULES
    ]
    return render_template("roles.html", roles=[role.label for role in Role], rights=rights)
