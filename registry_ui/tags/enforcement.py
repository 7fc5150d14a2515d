"""What protects tags, whether the registry enforces it, and what was changed against it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from flask import current_app
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ..access import repository_policy
from ..access.tag_rules import TagRule, strictest
from ..db.session import db
from ..models import GATE_ASKED, ContainerImage, Heartbeat, ProtectionViolation, Push, utc_now

#: How much later than the gate's last question the last push can be. The gate notes its
#: questions once a minute, and the registry's clock may be ahead.
MAX_DELAY = timedelta(minutes=10)
#: How long a tag says that it was changed against a rule.
VIOLATION_SHOWN = timedelta(days=90)


class GateState(StrEnum):
    """Whether the rules of a project are enforced, and why they are not."""

    WORKS = "works"
    #: The settings say that no proxy asks.
    MISSING = "missing"
    #: It is set up, and was never asked: the next push shows whether it is.
    UNCONFIRMED = "unconfirmed"
    #: Something was pushed, and the gate was not asked about it.
    BYPASSED = "bypassed"


@dataclass(frozen=True, slots=True)
class TagProtection:
    """The strictest rule for a tag, and how far it can be relied on.

    ``violation`` is the newest change against the rules, if there was one.
    """

    rule: TagRule
    is_enforced: bool
    violation: ProtectionViolation | None = None

    @property
    def mark(self) -> str:
        """A word or two beside the tag's name."""
        return self.rule.mark if self.is_enforced else f"{self.rule.mark}, not enforced"

    @property
    def promise(self) -> str:
        """What the rule means for the tag, as sentences."""
        if self.is_enforced:
            return self.rule.promise
        return f"Rule: {self.rule.promise} Not enforced: pushes that break it go through."


def protections(image: ContainerImage, names: Collection[str]) -> dict[str, TagProtection]:
    """Return what protects these tags of an image; nothing for tags without a rule."""
    session = db.session()
    rules = repository_policy(session, image.path).rules
    found = {name: strictest(rules, image.name, name) for name in names}
    covered = {name: rule for name, rule in found.items() if rule is not None}
    if not covered:
        return {}
    is_enforced = gate_works(session, image.project_id)
    violations = _violations(session, image, covered)
    return {
        name: TagProtection(rule, is_enforced, violations.get(name))
        for name, rule in covered.items()
    }


def gate_works(session: Session, project_id: int) -> bool:
    """Whether the gate is set up, and was in use when something was last pushed to a project."""
    return gate_state(session, project_id) is GateState.WORKS


def gate_state(session: Session, project_id: int) -> GateState:
    """Return whether the gate is set up, and whether it was asked about the last push."""
    if not current_app.config["SETTINGS"].gate:
        return GateState.MISSING
    pushed = (
        select(Push.at)
        # Our own copies ask no gate: they ask the rules themselves.
        .where(Push.project_id == project_id, Push.source == "")
        .order_by(Push.at.desc())
        .limit(1)
        .scalar_subquery()
    )
    asked = select(Heartbeat.at).where(Heartbeat.name == GATE_ASKED).scalar_subquery()
    asked_at, pushed_at = session.execute(select(asked, pushed)).one()
    if pushed_at is None:
        return GateState.WORKS
    if asked_at is None:
        return GateState.UNCONFIRMED
    return GateState.WORKS if pushed_at <= asked_at + MAX_DELAY else GateState.BYPASSED


def _violations(
    session: Session, image: ContainerImage, names: Collection[str]
) -> dict[str, ProtectionViolation]:
    newest = (
        select(func.max(ProtectionViolation.id))
        .where(
            ProtectionViolation.repository == image.path,
            ProtectionViolation.tag.in_(names),
            ProtectionViolation.at > utc_now() - VIOLATION_SHOWN,
        )
        .group_by(ProtectionViolation.tag)
    )
    query = select(ProtectionViolation).where(ProtectionViolation.id.in_(newest))
    return {row.tag: row for row in session.scalars(query)}
