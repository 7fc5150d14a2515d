"""The rules, the fence, and the old name over a repository, by one query."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from ..models import Fence, FormerPath, Project, ProtectionRule
from ..patterns.glob import Glob
from .decisions import Fenced, Former
from .lookup import (
    FENCE_COLUMNS,
    FORMER_COLUMNS,
    fence_over,
    fences_over,
    former_over,
    one_row,
    prefixes,
)
from .roles import Role
from .tag_rules import Kind, Protection


@dataclass(frozen=True, slots=True)
class Guard:
    """What stands between a push or a deletion and a repository, whoever asks.

    ``project`` owns the repository, "" where none does; ``rules`` are that project's, and
    ``image_name`` is how they name it: what follows the project's path. ``former`` is set if
    the repository has another name now.
    """

    project: str
    image_name: str
    rules: list[Protection]
    fence: Fenced | None
    former: Former | None


def guard(session: Session, repository: str) -> Guard:
    """Return the rules, the fence, and the old name over a repository, by one query."""
    above = prefixes(repository)
    query = (
        one_row()
        .outerjoin(Project, Project.path.in_(above))
        .outerjoin(ProtectionRule, ProtectionRule.place_id == Project.id)
        .outerjoin(Fence, fences_over(above))
        .outerjoin(FormerPath, FormerPath.path.in_(above))
        .add_columns(Project.path.label("project"), ProtectionRule)
        .add_columns(*FENCE_COLUMNS, *FORMER_COLUMNS)
        .order_by(ProtectionRule.id)
    )
    rows = session.execute(query).all()
    project = rows[0].project or ""
    rules = {row.ProtectionRule.id: row.ProtectionRule for row in rows if row.ProtectionRule}
    fences = {row.fence: row for row in rows if row.fence is not None}
    found = [protection(rule, project) for rule in rules.values()]
    image_name = repository[len(project) + 1 :] if project else ""
    formers = {row.former: row for row in rows if row.former is not None}
    former = former_over(repository, above, formers)
    return Guard(project, image_name, found, fence_over(above, fences), former)


def protection(rule: ProtectionRule, project: str) -> Protection:
    """Return what a stored rule of a project says."""
    return Protection(
        project,
        Glob(rule.image_pattern),
        Glob(rule.tag_pattern),
        Kind(rule.kind),
        None if rule.minimum_role is None else Role(rule.minimum_role),
        rule.open_to_signatures,
    )
