"""Add, delete, and list protection rules, which make tags of a project immutable or protected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from ..access import Role
from ..access.repository_rules import tag_rule
from ..access.tag_rules import RuleKind, TagRule
from ..audit import Actor, record
from ..db.session import db, writing
from ..errors import Denied, Invalid, NotFound
from ..models import ContainerImage, Project, ProtectionRule, ProtectionViolation, Tag, utc_now
from ..patterns.glob import IMAGES, TAGS, Glob, PatternInvalid

#: Maximum number of rules per project, because every push evaluates all of them.
MAX_RULES = 30
#: Maximum number of a project's tags that are checked to count the tags that each rule covers.
MAX_COUNTED_TAGS = 5000
#: How long violations (changes that broke a rule) are shown, and the maximum number shown.
VIOLATION_PERIOD = timedelta(days=30)
MAX_SHOWN_VIOLATIONS = 5

#: Choices in the form for a new rule: the kind of the rule, and the minimum role for changing
#: protected tags. "signable" is an immutable rule that permits adding signatures.
CHOICES: dict[str, tuple[RuleKind, Role | None]] = {
    "immutable": (RuleKind.IMMUTABLE, None),
    "signable": (RuleKind.IMMUTABLE, None),
    "maintainer": (RuleKind.PROTECTED, Role.MAINTAINER),
    "owner": (RuleKind.PROTECTED, Role.OWNER),
}


@dataclass(frozen=True, slots=True)
class RuleRequest:
    """A requested rule: patterns for images and tags, and a key of CHOICES."""

    images: str
    tags: str
    choice: str


@dataclass(frozen=True, slots=True)
class RuleView:
    """A rule as shown to users.

    Attributes:
        rule: the stored rule.
        says: a sentence that describes the effect of the rule.
        kind: a label for the kind of rule.
        tags: number of the project's tags that the rule covers now.
    """

    rule: ProtectionRule
    says: str
    kind: str
    tags: int


def add(actor: Actor, role: Role, path: str, request: RuleRequest) -> TagRule:
    """Add a rule to the project at ``path`` and return it.

    Args:
        actor: the requester, for the audit log.
        role: the actor's role in the project; Owner for an administrator.
        path: the path of the project.
        request: the requested rule.

    Raises:
        NotFound: there is no such project.
        Invalid: a pattern or the choice is not valid, the rule already exists, or the project has
            the maximum number of rules.
        Denied: the rule requires a higher role than the actor has.
    """
    images, tags, kind, minimum = _parse_request(request)
    _require_role(role, minimum)
    with writing() as session:
        # Lock the project, so that a concurrent request sees this rule.
        query = select(Project).where(Project.path == path).with_for_update()
        project = session.scalar(query)
        if project is None:
            raise NotFound
        rule = ProtectionRule(
            place_id=project.id,
            image_pattern=images.text,
            tag_pattern=tags.text,
            kind=str(kind),
            minimum_role=minimum,
            open_to_signatures=request.choice == "signable",
            created_by=actor.name,
        )
        _require_addable(session, rule)
        session.add(rule)
        record(session, actor, "protection_rule.create", path, **_detail_from_rule(rule))
    return tag_rule(rule, path)


def _require_addable(session: Session, rule: ProtectionRule) -> None:
    """Raise Invalid if the project already has an equal rule or the maximum number of rules."""
    existing = session.scalars(select(ProtectionRule).where(_belongs_to(rule.place_id))).all()
    if len(existing) >= MAX_RULES:
        raise Invalid("The rule was not added.", {"": f"A project has {MAX_RULES} rules at most."})
    if any(_key_from_rule(other) == _key_from_rule(rule) for other in existing):
        raise Invalid("The rule was not added.", {"tags": "There is this very rule already."})


def remove(actor: Actor, role: Role, path: str, rule_id: int) -> None:
    """Delete a rule of the project at ``path``.

    Args:
        actor: the requester, for the audit log.
        role: the actor's role in the project; Owner for an administrator.
        path: the path of the project.
        rule_id: the ID of the rule.

    Raises:
        NotFound: there is no such rule, or it belongs to a different project. Without this check,
            users could delete the rules of any project by their IDs.
        Denied: the rule requires a higher role than the actor has.
    """
    with writing() as session:
        rule = session.scalar(
            select(ProtectionRule)
            .join(Project, Project.id == ProtectionRule.place_id)
            .where(ProtectionRule.id == rule_id, Project.path == path)
        )
        if rule is None:
            raise NotFound
        _require_role(role, Role(rule.minimum_role) if rule.minimum_role else None)
        session.delete(rule)
        record(session, actor, "protection_rule.delete", path, **_detail_from_rule(rule))


def rules_of(project: Project) -> tuple[list[RuleView], bool]:
    """Return the rules of a project with the number of tags that each covers.

    Returns:
        The rules, and whether all tags were counted: False if the project has more tags than
            MAX_COUNTED_TAGS.
    """
    query = select(ProtectionRule).where(_belongs_to(project.id)).order_by(ProtectionRule.id)
    rules = list(db.session.scalars(query))
    if not rules:
        return [], True
    tags = (
        select(ContainerImage.name, Tag.name)
        .join(Tag, Tag.image_id == ContainerImage.id)
        .where(ContainerImage.project_id == project.id)
        .order_by(ContainerImage.id, Tag.id)
        .limit(MAX_COUNTED_TAGS + 1)
    )
    rows = [(image, tag) for image, tag in db.session.execute(tags)]
    counts = _count_covered(rules, project.path, rows[:MAX_COUNTED_TAGS])
    views = []
    for rule in rules:
        parsed = tag_rule(rule, project.path)
        views.append(RuleView(rule, parsed.sentence, parsed.label, counts[rule.id]))
    return views, len(rows) <= MAX_COUNTED_TAGS


def has_rules(project: Project) -> bool:
    """Return whether a project has any protection rules."""
    return db.session.scalar(select(func.count()).where(_belongs_to(project.id))) != 0


def violations_of(project: Project) -> list[ProtectionViolation]:
    """Return the latest violations of a project's rules in the last 30 days, newest first."""
    query = (
        select(ProtectionViolation)
        .where(
            ProtectionViolation.place_id == project.id,
            ProtectionViolation.at > utc_now() - VIOLATION_PERIOD,
        )
        .order_by(ProtectionViolation.at.desc())
        .limit(MAX_SHOWN_VIOLATIONS)
    )
    return list(db.session.scalars(query))


def _parse_request(request: RuleRequest) -> tuple[Glob, Glob, RuleKind, Role | None]:
    globs, errors = {}, {}
    for field, grammar, text in (("images", IMAGES, request.images), ("tags", TAGS, request.tags)):
        try:
            globs[field] = Glob.parse(text, grammar)
        except PatternInvalid as error:
            errors[field] = str(error)
    if request.choice not in CHOICES:
        errors["choice"] = f"Choose one of {', '.join(CHOICES)}."
    if errors:
        raise Invalid("The rule was not added.", errors)
    kind, minimum = CHOICES[request.choice]
    return globs["images"], globs["tags"], kind, minimum


def _require_role(role: Role, minimum: Role | None) -> None:
    """Raise Denied for a rule that requires a higher role than the actor has."""
    if minimum is not None and role < minimum:
        raise Denied(f"Not allowed: a rule for {minimum.label}s is made and deleted by them.")


def _belongs_to(project_id: int) -> ColumnElement[bool]:
    return ProtectionRule.place_id == project_id


def _key_from_rule(rule: ProtectionRule) -> tuple[object, ...]:
    signatures = bool(rule.open_to_signatures)
    return rule.image_pattern, rule.tag_pattern, rule.kind, rule.minimum_role, signatures


def _detail_from_rule(rule: ProtectionRule) -> dict[str, str]:
    detail = {"images": rule.image_pattern, "tags": rule.tag_pattern, "kind": rule.kind}
    if rule.minimum_role is not None:
        detail["from"] = Role(rule.minimum_role).label
    if rule.open_to_signatures:
        detail["signatures"] = "can be added"
    return detail


def _count_covered(
    rules: Iterable[ProtectionRule], project: str, tags: list[tuple[str, str]]
) -> Counter[int]:
    """Count the tags that each rule covers, by rule ID.

    To save time, each image name is matched only once per rule.

    Args:
        rules: the rules of the project.
        project: the path of the project.
        tags: image name and tag name of each tag.
    """
    counts: Counter[int] = Counter()
    images = {image for image, _ in tags}
    for rule in rules:
        parsed = tag_rule(rule, project)
        matching_images = {image for image in images if parsed.images.matches(image)}
        counts[rule.id] = sum(
            image in matching_images and parsed.tags.matches(tag) for image, tag in tags
        )
    return counts
