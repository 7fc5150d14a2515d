"""Access check: answers “Can X push to Y?” with the deciding rule.

X is a user, a deploy token, or an anonymous client (the subject), and Y is a repository. The check
uses the same functions as the token endpoint, so the answers are the same.
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
from ..accounts.subjects import Subject, unknown_subject
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
    protection: list[str] = field(default_factory=list)

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
    """Check what a subject can do in a repository, and return every detail of the answer.

    The result is for commands and administrators; see explain_to() for other users.
    """
    principal = subject.principal
    if subject.problem:
        answers = [ActionAnswer(action, False, subject.problem) for action in actions]
    else:
        access = path_access_by_any_name(session, principal, repository)
        decisions = {
            action: decide_repository(principal, access, Permission(action)) for action in actions
        }
        answers = [
            ActionAnswer(action, decision.allowed, decision.rule)
            for action, decision in decisions.items()
        ]
    can_change = any(answer.allowed for answer in answers if answer.action != Permission.PULL)
    protection = _fetch_rule_sentences(session, repository) if can_change else []
    return Explanation(principal.username, repository, answers, subject.note, protection)


def _fetch_rule_sentences(session: Session, repository: str) -> list[str]:
    """Return the protection rules that apply to a repository, as sentences."""
    policy = repository_policy(session, repository)
    return [rule.sentence for rule in policy.rules if rule.images.matches(policy.image_name)]


def explain_to(
    session: Session, asker: Principal, subject: Subject, repository: str
) -> Explanation:
    """Check what a subject can do in a repository, and answer only what the asker may know.

    Anyone may ask about themselves and about anonymous clients. A repository that the asker
    can't see is then reported as nonexistent. Questions about other users and deploy tokens
    need the Maintainer role in the project or namespace that owns the repository's path.

    Raises:
        Denied: the subject is a different user or a deploy token, and the asker is not a
            Maintainer. The error is the same whether or not the subject exists.
    """
    principal = subject.principal
    if asker.is_admin:
        explanation = explain(session, subject, repository)
        return explanation if principal.user_id == asker.user_id else _make_impersonal(explanation)
    access = path_access_by_any_name(session, asker, repository)
    if decide(asker, access, Permission.CONFIGURE).allowed:
        if principal.home and not _can_know_deploy_token(
            session, asker, principal.home, repository
        ):
            subject = unknown_subject(principal.username)
        explanation = explain(session, subject, repository)
        return explanation if principal.user_id == asker.user_id else _make_impersonal(explanation)
    if not principal.is_anonymous and principal.user_id != asker.user_id:
        raise Denied(NOT_ABOUT_OTHERS)
    explanation = explain(session, subject, repository)
    query = select(Place.id).where(Place.id == access.place_id, visible_places(session, asker))
    if session.scalar(query) is None and not subject.problem:
        answers = [
            ActionAnswer(answer.action, False, unowned(repository))
            for answer in explanation.answers
        ]
        return Explanation(explanation.username, repository, answers, explanation.note)
    return explanation if principal.is_person else _make_impersonal(explanation)


def _can_know_deploy_token(session: Session, asker: Principal, home: str, repository: str) -> bool:
    """Return whether the asker may know about the deploy tokens of a namespace or project.

    They may if the repository is at or below it, or if they are a Maintainer of it.

    Args:
        asker: a user who is a Maintainer of the repository.
        home: path of the namespace or project that the deploy tokens belong to.
    """
    if repository == home or repository.startswith(home + "/"):
        return True
    return decide(asker, path_access(session, asker, home), Permission.CONFIGURE).allowed


def _make_impersonal(explanation: Explanation) -> Explanation:
    answers = [
        ActionAnswer(answer.action, answer.allowed, impersonal(answer.rule))
        for answer in explanation.answers
    ]
    return replace(explanation, answers=answers)
