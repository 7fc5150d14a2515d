"""Protection rules, write freeze, and old path that apply to a repository, in one query."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from ..models import OldPath, Project, ProtectionRule, WriteFreeze
from ..patterns.glob import Glob
from .decisions import ActiveFreeze, OldPathMatch
from .lookup import (
    FREEZE_COLUMNS,
    OLD_PATH_COLUMNS,
    freezes_over,
    match_old_path,
    one_row,
    prefixes,
    widest_freeze,
)
from .roles import Role
from .tag_rules import RuleKind, TagRule


@dataclass(frozen=True, slots=True)
class RepositoryPolicy:
    """Everything that can refuse a push or deletion in a repository, whatever the principal.

    Attributes:
        project: path of the project that owns the repository; "" if there is none.
        image_name: rest of the repository's path below the project, matched with the rules;
            "" for the root image.
        rules: protection rules of the project.
        freeze: the write freeze (stop of pushes and deletions) in effect; None if there is none.
        old_path: the old path by which the repository was given; None if by its current path.
    """

    project: str
    image_name: str
    rules: list[TagRule]
    freeze: ActiveFreeze | None
    old_path: OldPathMatch | None


def repository_policy(session: Session, repository: str) -> RepositoryPolicy:
    """Return the protection rules, the write freeze, and the old path for a repository."""
    path_prefixes = prefixes(repository)
    query = (
        one_row()
        .outerjoin(Project, Project.path.in_(path_prefixes))
        .outerjoin(ProtectionRule, ProtectionRule.place_id == Project.id)
        .outerjoin(WriteFreeze, freezes_over(path_prefixes))
        .outerjoin(OldPath, OldPath.path.in_(path_prefixes))
        .add_columns(Project.path.label("project"), ProtectionRule)
        .add_columns(*FREEZE_COLUMNS, *OLD_PATH_COLUMNS)
        .order_by(ProtectionRule.id)
    )
    rows = session.execute(query).all()
    project = rows[0].project or ""
    rules = {row.ProtectionRule.id: row.ProtectionRule for row in rows if row.ProtectionRule}
    freezes = {row.freeze: row for row in rows if row.freeze is not None}
    tag_rules = [tag_rule(rule, project) for rule in rules.values()]
    image_name = repository[len(project) + 1 :] if project else ""
    old_paths = {row.old_path: row for row in rows if row.old_path is not None}
    old_path = match_old_path(repository, path_prefixes, old_paths)
    return RepositoryPolicy(
        project, image_name, tag_rules, widest_freeze(path_prefixes, freezes), old_path
    )


def tag_rule(rule: ProtectionRule, project: str) -> TagRule:
    """Return a stored protection rule with its patterns parsed."""
    return TagRule(
        project,
        Glob(rule.image_pattern),
        Glob(rule.tag_pattern),
        RuleKind(rule.kind),
        None if rule.minimum_role is None else Role(rule.minimum_role),
        rule.open_to_signatures,
    )
