"""Whether a stored plan may still be carried out: the protection rules as they are now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access import Permission, Role, at_or_below
from ..access.lookup import prefixes
from ..access.repository_rules import tag_rule
from ..access.tag_rules import TagRule, refusal, set_aside
from ..models import Place, Project, ProtectionRule, RemovalStep
from ..names import RepositoryName, is_binned


def first_refusal(
    session: Session, place: Place, steps: Iterable[RemovalStep], role: Role | None
) -> str | None:
    """Return why the rules refuse a part of a plan now, in words; None where they do not.

    The plan was made by somebody's role, and by the rules of that moment. Whoever confirms it
    may be less, and the rules may be more. One query, however many images it is about.

    Args:
        place: that the plan is of.
        role: of whoever confirms.
    """
    rules = _rules(session, place)
    if not rules:
        return None
    for repository, tag, despite in _tags(steps):
        project = next((path for path in prefixes(repository) if path in rules), None)
        if project is None:
            continue
        image_name = RepositoryName(repository).below(project)
        words = refusal(rules[project], image_name, tag, role, Permission.DELETE, exists=True)
        if words is None:
            continue
        if despite is None or despite != set_aside(rules[project], image_name, tag, role):
            return words
    return None


def _rules(session: Session, place: Place) -> dict[str, list[TagRule]]:
    query = (
        select(ProtectionRule, Project.path)
        .join(Project, Project.id == ProtectionRule.place_id)
        .where(at_or_below(Project.path, place.path))
        .order_by(ProtectionRule.id)
    )
    found: dict[str, list[TagRule]] = defaultdict(list)
    for rule, path in session.execute(query):
        found[path].append(tag_rule(rule, path))
    return found


def _tags(steps: Iterable[RemovalStep]) -> Iterator[tuple[str, str, str | None]]:
    """Yield what loses its tag, and the rule that was set aside for it, if one was.

    For tags of the bin, the rules were asked before.
    """
    for step in steps:
        tags = [] if step.kind == "purge" else step.tag_names
        despite = step.despite or {}
        for tag in tags:
            if not is_binned(tag):
                yield step.repository, tag, despite.get(tag)
