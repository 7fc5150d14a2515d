"""Detection of tag changes that violated a protection rule. Each is shown to users and audited.

The gate is the check that a reverse proxy requests before it forwards a push or deletion. If the
gate is in use, no violation should ever occur. Without the gate, protection rules are not enforced,
and the detection of violations is their only effect.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access import Permission
from ..access.repository_rules import tag_rule
from ..access.tag_rules import TagChange, TagRule, is_immutable, refusal
from ..accounts.subjects import current_role
from ..audit import REGISTRY, Actor, record
from ..models import ContainerImage, Place, ProtectionRule, ProtectionViolation, Tag
from .push_log import PushedTag


def record_violations(session: Session, image: ContainerImage, tag: Tag, push: PushedTag) -> None:
    """Record a violation if a protection rule does not allow a push that an event reported.

    Must be called before the tag's row changes.

    Args:
        session: the session of the transaction that changes the tag.
        image: the image of the tag.
        tag: the row before the push; its digest is None if the digest is not known.
        push: the push of the tag. Rules created after the time of the push are ignored.
    """
    rules = _load_rules(session, image, push.at)
    if not rules:
        return
    needs_role = any(rule.minimum for rule in rules)
    role = current_role(session, push.actor, image.path) if needs_role else None
    is_overwritten = tag.digest not in {None, push.digest}
    change = TagChange(tag.name, Permission.PUSH, exists=is_overwritten)
    if refusal(rules, image.name, change, role):
        violation = ProtectionViolation(
            place_id=image.project_id,
            repository=image.path,
            tag=tag.name,
            change="overwritten" if is_overwritten else "pushed",
            actor=push.actor,
            at=push.at,
        )
        _record_violation(session, violation)


def record_unreported_violations(
    session: Session, image: ContainerImage, names: Iterable[str], change: str, at: datetime
) -> None:
    """Record a violation for each immutable tag that changed without an event.

    Rules that require a role are not checked, because without an event the user is not known.

    Args:
        session: the session of the current transaction.
        image: the image of the tags.
        names: the tags that changed.
        change: ``overwritten`` or ``deleted``.
        at: when the registry was asked. Rules created later are ignored.
    """
    names = sorted(names)
    if not names:
        return
    rules = _load_rules(session, image, at)
    action = Permission.DELETE if change == "deleted" else Permission.PUSH
    for name in names:
        if is_immutable(rules, image.name, name, action):
            violation = ProtectionViolation(
                place_id=image.project_id,
                repository=image.path,
                tag=name,
                change=change,
                actor="",
                at=at,
            )
            _record_violation(session, violation)


def _load_rules(session: Session, image: ContainerImage, at: datetime) -> list[TagRule]:
    query = (
        select(ProtectionRule, Place.path)
        .join(Place, Place.id == ProtectionRule.place_id)
        .where(ProtectionRule.place_id == image.project_id, ProtectionRule.created_at <= at)
    )
    return [tag_rule(rule, path) for rule, path in session.execute(query)]


def _record_violation(session: Session, violation: ProtectionViolation) -> None:
    session.add(violation)
    actor = Actor(violation.actor) if violation.actor else REGISTRY
    tag = f"{violation.repository}:{violation.tag}"
    record(session, actor, "tag.protection_violated", tag, change=violation.change)
