"""Detection of changes that broke a protection rule. Each is shown to users and audited.

If the gate is in use, no violation should ever occur. Without the gate, rules are not enforced,
and detecting violations is their only effect.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access import Permission
from ..access.repository_rules import tag_rule
from ..access.tag_rules import TagRule, is_immutable, refusal
from ..accounts.subjects import current_role
from ..audit import REGISTRY, Actor, record
from ..models import ContainerImage, Place, ProtectionRule, ProtectionViolation, Tag


def record_violations(
    session: Session, image: ContainerImage, tag: Tag, digest: str, actor: str, at: datetime
) -> None:
    """Record a push that a rule does not allow. It must be called before the tag's row changes.

    Args:
        tag: the row before the push; its digest is None if it is not known.
        digest: the digest that was pushed.
        actor: subject of the user who pushed; "" if it is not known.
        at: time of the push. Rules created later are ignored.
    """
    rules = _rules(session, image, at)
    if not rules:
        return
    role = current_role(session, actor, image.path) if any(r.minimum for r in rules) else None
    moved = tag.digest not in {None, digest}
    if refusal(rules, image.name, tag.name, role, Permission.PUSH, moved):
        _note(session, image, tag.name, "overwritten" if moved else "pushed", actor, at)


def record_unreported_violations(
    session: Session, image: ContainerImage, names: Iterable[str], what: str, at: datetime
) -> None:
    """Record changes of immutable tags that no event reported.

    Other rules depend on the role of the user, who is not known here.

    Args:
        names: the tags that changed.
        what: ``overwritten`` or ``deleted``.
        at: when the registry was asked. Rules created later are ignored.
    """
    names = sorted(names)
    if not names:
        return
    rules = _rules(session, image, at)
    action = Permission.DELETE if what == "deleted" else Permission.PUSH
    for name in names:
        if is_immutable(rules, image.name, name, action):
            _note(session, image, name, what, "", at)


def _rules(session: Session, image: ContainerImage, at: datetime) -> list[TagRule]:
    query = (
        select(ProtectionRule, Place.path)
        .join(Place, Place.id == ProtectionRule.place_id)
        .where(ProtectionRule.place_id == image.project_id, ProtectionRule.created_at <= at)
    )
    return [tag_rule(rule, path) for rule, path in session.execute(query)]


def _note(
    session: Session, image: ContainerImage, tag: str, what: str, actor: str, at: datetime
) -> None:
    session.add(
        ProtectionViolation(
            place_id=image.project_id,
            repository=image.path,
            tag=tag,
            what=what,
            actor=actor,
            at=at,
        )
    )
    who = Actor(actor) if actor else REGISTRY
    record(session, who, "tag.protection_violated", f"{image.path}:{tag}", what=what)
