"""“Can X push to Y?”: answered with the rule that decides, by the functions of the endpoint."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access import (
    Permission,
    Principal,
    decide,
    decide_repository,
    path_access,
    path_access_by_any_name,
    repository_policy,
    unowned,
    visible_places,
)
from ..accounts.subjects import Subject, _nobody
from ..errors import Denied, Invalid
from ..models import Place
from ..names import NameInvalid, Reference
from .decision_queries import impersonal
from .scope import ACTIONS

NOT_ABOUT_OTHERS = (
    "You can ask about yourself, and about others where you are Maintainer. "
    "Of this repository you are not."
)


@dataclass(frozen=True, slots=True)
class ActionAnswer:
    """Whether one action is allowed, and by which rule."""

    action: str
    allowed: bool
    rule: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answers about one subject and one repository."""

    username: str
    repository: str
    answers: list[ActionAnswer]
    note: str = ""
    #: What rules of the project say of tags, for whom may push or delete there.
    kept: list[str] = field(default_factory=list)

    @property
    def allowed(self) -> bool:
        """Whether everything that was asked about is."""
        return all(answer.allowed for answer in self.answers)


def repository_named(text: str, registry_host: str = "") -> str:
    """Return the repository of a reference as people paste it: with host and tag, or without.

    Raises:
        Invalid: it is none.
    """
    text = text.strip().removeprefix(f"{registry_host}/")
    try:
        return str(Reference.parse(text).name)
    except NameInvalid as error:
        raise Invalid("That is no repository.", {"repository": str(error)}) from None


def explain(
    session: Session, subject: Subject, repository: str, actions: Iterable[str] = ACTIONS
) -> Explanation:
    """Answer, without regard to who asks: for the console."""
    who = subject.principal
    if subject.problem:
        answers = [ActionAnswer(action, False, subject.problem) for action in actions]
    else:
        here = path_access_by_any_name(session, who, repository)
        decisions = {action: decide_repository(who, here, Permission(action)) for action in actions}
        answers = [ActionAnswer(action, d.allowed, d.rule) for action, d in decisions.items()]
    changes = any(a.allowed for a in answers if a.action != Permission.PULL)
    kept = _kept(session, repository) if changes else []
    return Explanation(who.username, repository, answers, subject.note, kept)


def _kept(session: Session, repository: str) -> list[str]:
    """Return what protection rules say of tags of a repository: the gate's part of the answer."""
    found = repository_policy(session, repository)
    return [rule.sentence for rule in found.rules if rule.images.matches(found.image_name)]


def explain_to(
    session: Session, asker: Principal, subject: Subject, repository: str
) -> Explanation:
    """Answer as far as the asker may know.

    About themselves and about visitors anyone may ask; what they may not see reads as if
    it were not there. About others those may ask who look after the place.

    Raises:
        Denied: it is about somebody else, and the asker does not look after the place;
            the same whether or not there is one.
    """
    who = subject.principal
    if asker.is_admin:
        found = explain(session, subject, repository)
        return found if who.user_id == asker.user_id else _about_other(found)
    here = path_access_by_any_name(session, asker, repository)
    if decide(asker, here, Permission.CONFIGURE).allowed:
        if who.home and not _may_know(session, asker, who.home, repository):
            subject = _nobody(who.username)
        found = explain(session, subject, repository)
        return found if who.user_id == asker.user_id else _about_other(found)
    if not who.is_anonymous and who.user_id != asker.user_id:
        raise Denied(NOT_ABOUT_OTHERS)
    found = explain(session, subject, repository)
    seen = select(Place.id).where(Place.id == here.place_id, visible_places(session, asker))
    if session.scalar(seen) is None and not subject.problem:
        hidden = [
            ActionAnswer(answer.action, False, unowned(repository)) for answer in found.answers
        ]
        return Explanation(found.username, repository, hidden, found.note)
    return found if who.is_person else _about_other(found)


def _may_know(session: Session, asker: Principal, home: str, repository: str) -> bool:
    """Whether a deploy token of ``home`` concerns whoever looks after the repository."""
    if repository == home or repository.startswith(home + "/"):
        return True
    return decide(asker, path_access(session, asker, home), Permission.CONFIGURE).allowed


def _about_other(found: Explanation) -> Explanation:
    answers = [ActionAnswer(a.action, a.allowed, impersonal(a.rule)) for a in found.answers]
    return replace(found, answers=answers)
