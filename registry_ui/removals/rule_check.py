"""Check of a stored removal plan against the current protection rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access import Permission, Role, at_or_below
from ..access.lookup import prefixes
from ..access.repository_rules import tag_rule
from ..access.tag_rules import TagChange, TagRule, refusal, set_aside
from ..models import Place, Project, ProtectionRule, RemovalStep
from ..names import RepositoryName, is_trash_tag


def first_refusal(
    session: Session, place: Place, steps: Iterable[RemovalStep], role: Role | None
) -> str | None:
    """Return the first reason why the current rules forbid part of a removal plan, or None.

    After the plan was made, rules can have been added, and the user who confirms the plan can have
    a lower role than the user who made it. Runs one query, for any number of images.

    Args:
        place: namespace or project in which the plan removes tags.
        steps: the steps of the plan.
        role: role of the user who confirms the plan.
    """
    rules = _load_rules(session, place)
    if not rules:
        return None
    for repository, tag, overridden_rule in _tags_from_steps(steps):
        project = next((path for path in prefixes(repository) if path in rules), None)
        if project is None:
            continue
        image_name = RepositoryName(repository).below(project)
        deletion = TagChange(tag, Permission.DELETE, exists=True)
        reason = refusal(rules[project], image_name, deletion, role)
        if reason is None:
            continue
        if overridden_rule is None or overridden_rule != set_aside(
            rules[project], image_name, tag, role
        ):
            return reason
    return None


def _load_rules(session: Session, place: Place) -> dict[str, list[TagRule]]:
    query = (
        select(ProtectionRule, Project.path)
        .join(Project, Project.id == ProtectionRule.place_id)
        .where(at_or_below(Project.path, place.path))
        .order_by(ProtectionRule.id)
    )
    rules: dict[str, list[TagRule]] = defaultdict(list)
    for rule, path in session.execute(query):
        rules[path].append(tag_rule(rule, path))
    return rules


def _tags_from_steps(steps: Iterable[RemovalStep]) -> Iterator[tuple[str, str, str | None]]:
    """Yield the repository, the name, and the overridden rule (or None) of each tag to remove.

    Tags in the trash are skipped: the rules were checked when the tags were moved to the trash.
    """
    for step in steps:
        tags = [] if step.kind == "purge" else step.tag_names
        overridden_rules = step.despite or {}
        for tag in tags:
            if not is_trash_tag(tag):
                yield step.repository, tag, overridden_rules.get(tag)
