"""Which tags of a removal plan the protection rules allow to be deleted."""

from __future__ import annotations

from collections.abc import Collection

from ..access import Permission, Role, repository_policy
from ..access.tag_rules import refusal, set_aside
from ..db.session import db
from ..names import is_binned
from .plan import RemovalPlan

DESPITE = "{}; it can't be read, so it can be removed despite the rule"


def allowed(
    plan: RemovalPlan, repository: str, names: Collection[str], role: Role | None
) -> set[str]:
    """Return the tags that no protection rule keeps; note why the others stay."""
    found = repository_policy(db.session(), repository)
    if not found.rules:
        return set(names)
    refused = {
        name: why
        for name in names
        # What the bin holds was deleted before, when the rules were asked.
        if not is_binned(name)
        and (
            why := refusal(
                found.rules, found.image_name, name, role, Permission.DELETE, exists=True
            )
        )
    }
    plan.refused += [(f"{repository}:{name}", why) for name, why in sorted(refused.items())]
    return set(names) - refused.keys()


def allowed_unreadable(
    plan: RemovalPlan, repository: str, names: Collection[str], role: Role | None
) -> set[str]:
    """Return the damaged tags that may go; an immutable one only if the plan says so."""
    found = repository_policy(db.session(), repository)
    rules = {
        name: rule
        for name in sorted(names)
        if not is_binned(name) and (rule := set_aside(found.rules, found.image_name, name, role))
    }
    if plan.despite_rules:
        plan.despite += [(f"{repository}:{name}", rule) for name, rule in rules.items()]
        return allowed(plan, repository, set(names) - rules.keys(), role) | rules.keys()
    permitted = allowed(plan, repository, names, role)
    references = {f"{repository}:{name}" for name in rules}
    plan.overridable += sorted(references)
    plan.refused = [
        (reference, DESPITE.format(why) if reference in references else why)
        for reference, why in plan.refused
    ]
    return permitted
