"""Protection of tags: the rules, whether they are enforced, and their violations.

The gate enforces protection rules: it is the part of this application that a reverse proxy asks
before it forwards a push or deletion to the registry.
"""

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

#: Maximum time by which a project's last push can be later than the gate's last recorded use. The
#: gate records its use once per minute, and the registry's clock can be ahead.
MAX_DELAY = timedelta(minutes=10)
#: How long a violation of a protection rule is shown with its tag.
VIOLATION_DISPLAY_PERIOD = timedelta(days=90)


class GateState(StrEnum):
    """Whether the gate enforces the protection rules of a project, and if not, the reason."""

    WORKS = "works"
    #: The configuration says that no proxy asks the gate.
    MISSING = "missing"
    #: The gate is configured but was never asked. The next push shows whether it works.
    UNCONFIRMED = "unconfirmed"
    #: The last push to the project was made without asking the gate.
    BYPASSED = "bypassed"


@dataclass(frozen=True, slots=True)
class TagProtection:
    """The strictest protection rule for a tag, and whether the rule is enforced.

    ``violation`` is the newest recorded violation of a rule by a change to the tag; None if there
    is no recent one.
    """

    rule: TagRule
    is_enforced: bool
    violation: ProtectionViolation | None = None

    @property
    def mark(self) -> str:
        """A short user-visible label to show beside the tag's name."""
        return self.rule.mark if self.is_enforced else f"{self.rule.mark}, not enforced"

    @property
    def promise(self) -> str:
        """The effect of the rule on the tag, as user-visible sentences."""
        if self.is_enforced:
            return self.rule.promise
        return f"Rule: {self.rule.promise} Not enforced: pushes that break it go through."


def protections(image: ContainerImage, names: Collection[str]) -> dict[str, TagProtection]:
    """Return the protection of some tags of an image, by tag name.

    Tags that no protection rule covers are left out.
    """
    session = db.session()
    rules = repository_policy(session, image.path).rules
    rules_by_name = {name: strictest(rules, image.name, name) for name in names}
    protecting_rules = {name: rule for name, rule in rules_by_name.items() if rule is not None}
    if not protecting_rules:
        return {}
    is_enforced = gate_works(session, image.project_id)
    violations = _load_violations(session, image, protecting_rules)
    return {
        name: TagProtection(rule, is_enforced, violations.get(name))
        for name, rule in protecting_rules.items()
    }


def gate_works(session: Session, project_id: int) -> bool:
    """Return whether the gate is configured and was asked about the last push to a project."""
    return gate_state(session, project_id) is GateState.WORKS


def gate_state(session: Session, project_id: int) -> GateState:
    """Return whether the gate enforces the protection rules of a project, and if not, the reason.

    The gate is assumed to work if it is configured and no push to the project is recorded.
    """
    if not current_app.config["SETTINGS"].gate:
        return GateState.MISSING
    last_push = (
        select(Push.at)
        # Copies made by this application are left out: they bypass the gate and check the rules.
        .where(Push.project_id == project_id, Push.source == "")
        .order_by(Push.at.desc())
        .limit(1)
        .scalar_subquery()
    )
    last_use = select(Heartbeat.at).where(Heartbeat.name == GATE_ASKED).scalar_subquery()
    used_at, pushed_at = session.execute(select(last_use, last_push)).one()
    if pushed_at is None:
        return GateState.WORKS
    if used_at is None:
        return GateState.UNCONFIRMED
    return GateState.WORKS if pushed_at <= used_at + MAX_DELAY else GateState.BYPASSED


def _load_violations(
    session: Session, image: ContainerImage, names: Collection[str]
) -> dict[str, ProtectionViolation]:
    newest = (
        select(func.max(ProtectionViolation.id))
        .where(
            ProtectionViolation.repository == image.path,
            ProtectionViolation.tag.in_(names),
            ProtectionViolation.at > utc_now() - VIOLATION_DISPLAY_PERIOD,
        )
        .group_by(ProtectionViolation.tag)
    )
    query = select(ProtectionViolation).where(ProtectionViolation.id.in_(newest))
    return {row.tag: row for row in session.scalars(query)}
