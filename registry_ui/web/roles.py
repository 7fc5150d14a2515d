"""Help page that lists the permissions of each role."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, render_template

from ..access import RULES, Role

blueprint = Blueprint("help", __name__, url_prefix="/-/help")

_BY_VISIBILITY = "Anyone, in a public project; any signed-in user, in an internal one"


@dataclass(frozen=True, slots=True)
class RoleCell:
    """A cell in a row of the permission table: whether a role has the row's permission."""

    role: str
    is_allowed: bool


@dataclass(frozen=True, slots=True)
class RightRow:
    """A row in the table of permissions: one permission, with a cell for each role."""

    label: str
    description: str
    cells: list[RoleCell]


@blueprint.get("/roles")
def roles() -> str:
    """Show the permissions of each role, as defined by the rules that all access checks use."""
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
