"""Protection rules applied to the tags of a removal plan."""

from __future__ import annotations

from collections.abc import Collection

from ..access import Permission, Role, repository_policy
from ..access.tag_rules import TagChange, refusal, set_aside
from ..db.session import db
from ..names import is_trash_tag
from .plan import RemovalPlan

REMOVABLE_DESPITE_RULE = "{}; it can't be read, so it can be removed despite the rule"


def filter_allowed(
    plan: RemovalPlan, repository: str, names: Collection[str], role: Role | None
) -> set[str]:
    """Return the tags that the protection rules allow to be deleted.

    The plan records each refused tag with the reason. Tags in the trash are always allowed.

    Args:
        names: tags of ``repository`` to check.
        role: role of the requesting user in the project that owns the repository, or None.
    """
    policy = repository_policy(db.session(), repository)
    if not policy.rules:
        return set(names)
    refusals = {
        name: reason
        for name in names
        # The rules were already checked when a tag was moved to the trash.
        if not is_trash_tag(name)
        and (
            reason := refusal(
                policy.rules,
                policy.image_name,
                TagChange(name, Permission.DELETE, exists=True),
                role,
            )
        )
    }
    plan.refused += [(f"{repository}:{name}", reason) for name, reason in sorted(refusals.items())]
    return set(names) - refusals.keys()


def filter_allowed_unreadable(
    plan: RemovalPlan, repository: str, names: Collection[str], role: Role | None
) -> set[str]:
    """Return the damaged tags that the protection rules allow to be deleted.

    A damaged tag is listed by the registry but can't be read. An immutable damaged tag can be
    deleted only if ``plan.despite_rules`` is set and the role may override the rule. Without
    ``plan.despite_rules``, tags whose rule may be overridden are added to ``plan.overridable``.
    """
    policy = repository_policy(db.session(), repository)
    rules = {
        name: rule
        for name in sorted(names)
        if not is_trash_tag(name)
        and (rule := set_aside(policy.rules, policy.image_name, name, role))
    }
    if plan.despite_rules:
        plan.despite += [(f"{repository}:{name}", rule) for name, rule in rules.items()]
        return filter_allowed(plan, repository, set(names) - rules.keys(), role) | rules.keys()
    deletable = filter_allowed(plan, repository, names, role)
    references = {f"{repository}:{name}" for name in rules}
    plan.overridable += sorted(references)
    plan.refused = [
        (reference, REMOVABLE_DESPITE_RULE.format(reason) if reference in references else reason)
        for reference, reason in plan.refused
    ]
    return deletable
