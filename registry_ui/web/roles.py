"""Help page that lists the permissions of each role."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template

from ..access import RULE_OF, RULES, Role

blueprint = Blueprint("help", __name__, url_prefix="/-/help")


@blueprint.get("/roles")
def roles() -> str:
    """Show the table of permissions that all access decisions are based on."""
    rights: list[dict[str, Any]] = [
        {
            "label": str(rule.permission).replace("_", " ").capitalize(),
            "description": rule.description,
            "role": rule.minimum.label,
            "minimum": rule.minimum.label,
            "value": int(rule.minimum),
            "note": "Anyone, in a public project; any signed-in user, in an internal one"
            if rule.by_visibility
            else "",
        }
        for rule in RULES
    ]
    choices = [(int(role), role.label) for role in Role]
    return render_template("roles.html", roles=choices, rights=rights, rule_of=RULE_OF)
