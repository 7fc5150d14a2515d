"""Protection rules applied to the tags of a removal plan."""

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
    """Return the tags that the protection rules allow to be deleted.

    The plan records each refused tag with the reason. Tags in the trash are always allowed.

    Args:
        names: tags of ``repository`` to check.
        role: role of the user who asks, in the project that owns the repository.
    """
    found = repository_policy(db.session(), repository)
    if not found.rules:
        return set(names)
    refused = {
        name: why
        for name in names
        # The rules were already checked when a tag was moved to the trash.
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
    """Return the damaged tags that can be deleted.

    A damaged tag is listed by the registry but can't be read. An immutable one is deleted only if
    ``plan.despite_rules`` is set and the role may set the rule aside. Without
    ``plan.despite_rules``, such tags are recorded in ``plan.overridable``.
    """
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
