"""Access check: answers “Can X push to Y?” with the deciding rule.

It uses the same functions as the token endpoint, so the answers are the same.
"""

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
    """Whether one action is allowed, and the rule that allows or refuses it."""

    action: str
    allowed: bool
    rule: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The result of an access check for one subject and one repository."""

    username: str
    repository: str
    answers: list[ActionAnswer]
    note: str = ""
    #: Protection rules for tags of the repository, as sentences. Empty if the subject can
    #: neither push nor delete.
    kept: list[str] = field(default_factory=list)

    @property
    def allowed(self) -> bool:
        """Whether all the actions that were checked are allowed."""
        return all(answer.allowed for answer in self.answers)


def repository_named(text: str, registry_host: str = "") -> str:
    """Return the repository name of a pasted reference, with or without registry host and tag.

    Raises:
        Invalid: the text is not a reference.
    """
    text = text.strip().removeprefix(f"{registry_host}/")
    try:
        return str(Reference.parse(text).name)
    except NameInvalid as error:
        raise Invalid("That is no repository.", {"repository": str(error)}) from None


def explain(
    session: Session, subject: Subject, repository: str, actions: Iterable[str] = ACTIONS
) -> Explanation:
    """Check what a subject can do in a repository, without limits on what the asker may know.

    For commands and administrators; see explain_to() for other users.
    """
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
    """Return the protection rules that the gate enforces for a repository, as sentences."""
    found = repository_policy(session, repository)
    return [rule.sentence for rule in found.rules if rule.images.matches(found.image_name)]


def explain_to(
    session: Session, asker: Principal, subject: Subject, repository: str
) -> Explanation:
    """Check what a subject can do in a repository, and answer only what the asker may know.

    Anyone may ask about themselves and about anonymous clients. A repository that the asker
    can't see is then reported as nonexistent. Questions about other users and deploy tokens
    need the Maintainer role in the project or namespace.

    Raises:
        Denied: the subject is not the asker, and the asker is not a Maintainer there. The
            error is the same whether or not the subject exists.
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
    """Return whether a Maintainer of a repository may know about the deploy tokens of a place.

    They may if the repository is at or below ``home``, or if they are a Maintainer there too.

    Args:
        home: path of the namespace or project that the deploy token belongs to.
    """
    if repository == home or repository.startswith(home + "/"):
        return True
    return decide(asker, path_access(session, asker, home), Permission.CONFIGURE).allowed


def _about_other(found: Explanation) -> Explanation:
    answers = [ActionAnswer(a.action, a.allowed, impersonal(a.rule)) for a in found.answers]
    return replace(found, answers=answers)
