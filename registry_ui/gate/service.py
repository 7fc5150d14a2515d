"""Whether a push or a deletion may go on to the registry: by the token, then by the rules.

Everyone's pushes wait for this. Without a rule about the tag it costs one query and no
call to the registry. Where a rule applies and something can't be known, nothing passes.
A fence stops at once what bearer tokens from before it would still let through.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from flask import Flask, current_app
from sqlalchemy import select

from ..access import RULE_OF, Fenced, Right, Role, guard
from ..access.protection import Protection, is_immutable, refusal
from ..catalog import claims
from ..catalog.connection import registry
from ..catalog.parts import parts_of
from ..catalog.reach import closure
from ..catalog.reconcile import digests_of
from ..distribution.errors import RegistryError, RegistryNotFound
from ..errors import AppError, Denied, Unauthorized
from ..extensions import db, release, writing
from ..models import GATE_ASKED, ContainerImage, Heartbeat, Tag, utc_now
from ..names import Digest, RepositoryName, TagName, is_binned
from ..token_auth.explain import role_of
from ..token_auth.journal import Noted, journal
from ..token_auth.proof import Proven, TokenInvalid, verifier
from ..token_auth.signer import OWN_SUBJECT
from .request import Asked

#: What the registry asks of a token (PROTOCOLS 1.1).
NEEDED = {Right.PUSH: ("pull", "push"), Right.DELETE: ("delete",)}
BIN = "tags of the bin are neither pushed nor deleted by clients"
#: Seconds between two notes that the gate is in use.
NOTE_EVERY = 60.0
#: Seconds in which what protected tags need is read; what is not by then, nobody deletes.
PARTS_DEADLINE = 20.0


class ProofNeeded(Unauthorized):
    """No bearer token, one that proves nothing, or one for something else.

    Attributes:
        scope: what the token must grant, for the challenge.
        problem: the challenge's ``error``; "" where no token came at all.
    """

    def __init__(self, scope: str, problem: str = "") -> None:
        super().__init__("authentication required")
        self.scope, self.problem = scope, problem


class RegistrySilent(AppError):
    """A rule applies, and the registry does not say what it has: nothing passes."""

    status = 503
    code = "UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("the registry does not tell the gate whether the tag exists: try again")


def judge(asked: Asked, authorization: str) -> None:
    """Let a push or a deletion pass, by returning.

    Args:
        authorization: the client's header, as it was sent.

    Raises:
        ProofNeeded: the token does not cover this; the registry would say the same.
        Denied: a fence or a rule of the project refuses it; the message is for the client's
            terminal.
        RegistrySilent: a rule applies, and the registry can't be asked.
    """
    found = guard(db.session(), str(asked.repository))
    no_tag_changes = asked.action is Right.PUSH and isinstance(asked.reference, Digest)
    if no_tag_changes and found.fence is None:
        release()
        return  # parts of an image, and what refers to one
    who = _identified(asked, authorization)
    covered = who.grants(str(asked.repository), NEEDED[asked.action])
    if found.fence is not None and who.subject != OWN_SUBJECT:
        _stop(asked, who, found.project, found.fence, covered=covered)
    if not covered:
        raise ProofNeeded(_scope(asked), "insufficient_scope")
    current_app.extensions["gate_in_use"].note()
    if who.subject == OWN_SUBJECT:
        return  # whoever planned it has asked the rules
    if is_binned(str(asked.reference)):
        raise Denied(BIN)
    image_name = found.image_name
    rules = [rule for rule in found.rules if rule.images.covers(image_name)]
    try:
        if not rules:
            release()
        elif isinstance(asked.reference, Digest):
            _judge_digest(asked.reference, asked.repository, image_name, rules, who)
        else:
            _judge_tag(asked.action, asked.reference, asked.repository, image_name, rules, who)
    except Denied as error:
        _record(asked, who, found.project, error.message)
        raise


def _record(asked: Asked, who: Proven, project: str, rule: str) -> None:
    """Let whoever was refused find it where they look for why they were denied."""
    action = str(asked.action)
    what = (str(asked.repository), project, action, "", rule)
    journal().note(Noted(who.subject, "bearer token", "", "", *what))


def _identified(asked: Asked, authorization: str) -> Proven:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise ProofNeeded(_scope(asked))
    try:
        return verifier().verify(token.strip())
    except TokenInvalid:
        raise ProofNeeded(_scope(asked), "invalid_token") from None


def _scope(asked: Asked) -> str:
    return f"repository:{asked.repository}:{','.join(NEEDED[asked.action])}"


def _stop(asked: Asked, who: Proven, project: str, fence: Fenced, *, covered: bool) -> None:
    """Refuse, by the fence, whoever could do it without one; others learn nothing of it.

    A token that was got behind the fence covers no push, and the registry would say no more
    than that: so the role is asked for.
    """
    repository = str(asked.repository)
    role = None if covered else role_of(db.session(), who.subject, repository)
    if covered or (role is not None and role >= RULE_OF[asked.action].minimum):
        rule = fence.rule(repository)
        _record(asked, who, project, rule)
        _refuse(rule)


def _judge_tag(
    action: Right,
    tag: TagName,
    repository: RepositoryName,
    image_name: str,
    rules: list[Protection],
    who: Proven,
) -> None:
    role = _role_for(rules, who, repository)
    _refuse(refusal(rules, image_name, str(tag), role, action, exists=False))
    release()
    if not is_immutable(rules, image_name, str(tag)):
        return
    claimed = action is Right.DELETE or claims.take(repository, tag, who)
    try:
        exists = _exists(repository, tag)
        _refuse(refusal(rules, image_name, str(tag), role, action, exists=exists))
    except AppError:
        if claimed and action is Right.PUSH:
            claims.let_go(repository, tag, who)
        raise
    if not claimed:
        raise Denied(f"tag {tag} is being pushed by somebody else: try again in a minute")


def _exists(repository: RepositoryName, tag: TagName) -> bool:
    try:
        registry().head(repository, tag)
    except RegistryNotFound:
        return False
    except RegistryError:
        raise RegistrySilent from None
    return True


def _judge_digest(
    digest: Digest,
    repository: RepositoryName,
    image_name: str,
    rules: list[Protection],
    who: Proven,
) -> None:
    """Refuse to delete a manifest with which a tag would go, or break, that must stay.

    The registry deletes every tag that points to the digest, and leaves indexes that name
    it, at whatever depth.
    """
    role = _role_for(rules, who, repository)
    release()
    refused = {
        tag: words
        for tag in _tags(repository)
        if (words := refusal(rules, image_name, tag, role, Right.DELETE, exists=True))
    }
    stands = _standing_for(repository, digest, image_name, rules, refused)
    tops = set(stands.values())
    needed = parts_of(repository, tops, PARTS_DEADLINE)
    below = closure(tops, needed.named)
    if str(digest) in below:
        _refuse(
            next(
                words
                for tag, words in refused.items()
                if tag in stands and str(digest) in closure([stands[tag]], needed.named)
            )
        )
    if needed.unknown.intersection(below):
        raise RegistrySilent
    release()


def _standing_for(
    repository: RepositoryName,
    digest: Digest,
    image_name: str,
    rules: list[Protection],
    names: Iterable[str],
) -> dict[str, str]:
    """Return what tags stand for now; those that went meanwhile are left out.

    What the index has is asked again, unless it is something else of an immutable tag: such
    a tag does not move. A protected one does, and its event may come late or never.
    """
    indexed = _indexed_digests(repository)
    release()
    known = {
        name: there
        for name in names
        if (there := indexed.get(name, str(digest))) != str(digest)
        and is_immutable(rules, image_name, name)
    }
    try:
        return known | digests_of(repository, [name for name in names if name not in known])
    except RegistryError:
        raise RegistrySilent from None


def _tags(repository: RepositoryName) -> list[str]:
    try:
        return registry().tags(repository)
    except RegistryNotFound:
        return []
    except RegistryError:
        raise RegistrySilent from None


def _indexed_digests(repository: RepositoryName) -> dict[str, str]:
    query = (
        select(Tag.name, Tag.digest)
        .join(ContainerImage, ContainerImage.id == Tag.image_id)
        .where(ContainerImage.path == str(repository), Tag.digest.is_not(None))
    )
    return dict(db.session.execute(query).all())


def _role_for(rules: list[Protection], who: Proven, repository: RepositoryName) -> Role | None:
    """Return the role of whoever sent the token, as it is now; not asked for without need."""
    if all(rule.minimum is None for rule in rules):
        return None
    return role_of(db.session(), who.subject, str(repository))


def _refuse(words: str | None) -> None:
    if words is not None:
        release()
        raise Denied(words)


class InUse:
    """Notes once a minute that the gate is asked, so that administrators see it."""

    def __init__(self) -> None:
        self._next, self._lock = 0.0, threading.Lock()

    def note(self) -> None:
        """Write it down, if it is time."""
        with self._lock:
            if time.monotonic() < self._next:
                return
            self._next = time.monotonic() + NOTE_EVERY
        with writing() as session:
            session.merge(Heartbeat(name=GATE_ASKED, at=utc_now()))


def init_app(app: Flask) -> None:
    """Make what notes that the gate is in use."""
    app.extensions["gate_in_use"] = InUse()
