"""Whether a push or a deletion may go on to the registry: by the token, then by the rules.

Everyone's pushes wait for this. Without a rule about the tag it costs three queries and no
call to the registry. Where a rule applies and something can't be known, nothing passes.
A fence, a block and a lost role stop at once what bearer tokens from before would still let
through. The proxy asks when it has received the whole manifest, so what holds then counts.
"""

from __future__ import annotations

import threading
import time
from typing import NoReturn

from flask import Flask, current_app

from ..access import RULE_OF, Permission, RepositoryPolicy, Role, repository_policy
from ..accounts.subjects import current_role
from ..audit import OWN_SUBJECT
from ..db.session import db, end_read, writing
from ..errors import Denied, Unauthorized
from ..models import GATE_ASKED, Heartbeat, utc_now
from ..names import Digest, is_binned
from ..token_auth.decision_log import DecisionRecord, decision_log
from ..token_auth.verifier import TokenInvalid, VerifiedToken, verifier
from .request import GateRequest
from .rules import Change, check_blob, check_digest, check_tag

#: What the registry asks of a token (PROTOCOLS 1.1).
NEEDED = {Permission.PUSH: ("pull", "push"), Permission.DELETE: ("delete",)}
BIN = "tags of the bin are neither pushed nor deleted by clients"
#: Seconds between two notes that the gate is in use.
NOTE_EVERY = 60.0


class Unauthenticated(Unauthorized):
    """No bearer token, one that proves nothing, or one for something else.

    Attributes:
        scope: what the token must grant, for the challenge.
        problem: the challenge's ``error``; "" where no token came at all.
    """

    def __init__(self, scope: str, problem: str = "") -> None:
        super().__init__("authentication required")
        self.scope, self.problem = scope, problem


def authorize(asked: GateRequest, authorization: str) -> None:
    """Let a push or a deletion pass, by returning.

    Args:
        authorization: the client's header, as it was sent.

    Raises:
        ProofNeeded: the token does not cover this; the registry would say the same.
        Denied: a fence or a rule of the project refuses it, or the permission was withdrawn;
            the message is for the client's terminal.
        RegistrySilent: a rule applies, and the registry can't be asked.
    """
    found = repository_policy(db.session(), str(asked.repository))
    changes_no_tag = asked.action is Permission.PUSH and isinstance(asked.reference, Digest)
    if changes_no_tag and found.fence is None:
        end_read()
        return  # parts of an image, and what refers to one
    who = _identified(asked, authorization)
    role = _authorize(asked, who, found)
    if who.subject == OWN_SUBJECT:
        return  # whoever planned it has asked the rules
    if is_binned(str(asked.reference)):
        raise Denied(BIN)
    rules = [rule for rule in found.rules if rule.images.matches(found.image_name)]
    change = Change(asked.action, asked.repository, found.image_name, rules, role, who)
    try:
        _check(change, asked)
    except Denied as error:
        _record(asked, who, found.project, error.message)
        raise


def _check(change: Change, asked: GateRequest) -> None:
    if asked.is_blob:
        check_blob(change)
    elif not change.rules:
        end_read()
    elif isinstance(asked.reference, Digest):
        check_digest(change, asked.reference)
    else:
        check_tag(change, asked.reference)


def _authorize(asked: GateRequest, who: VerifiedToken, found: RepositoryPolicy) -> Role | None:
    """Return the role of the caller, who has the permission now; None of ourselves.

    It is asked for now, when the whole manifest is here: a token outlives the permissions
    that it was issued for.

    Raises:
        ProofNeeded: the token does not cover this.
        Denied: a fence stops it, the permission was withdrawn, or the repository has moved.
    """
    repository = str(asked.repository)
    covered = who.grants(repository, NEEDED[asked.action])
    own = who.subject == OWN_SUBJECT
    role = None
    if not own and (covered or found.fence is not None):
        role = current_role(db.session(), who.subject, repository)
    permitted = role is not None and role >= RULE_OF[asked.action].minimum
    if found.fence is not None and permitted:
        # A token that was issued behind the fence covers no push, and the registry would say
        # no more than that. People without permission learn nothing of a fence.
        _refuse(asked, who, found.project, found.fence.rule(repository))
    if not covered:
        raise Unauthenticated(_scope(asked), "insufficient_scope")
    current_app.extensions["gate_in_use"].note()
    if not own and not permitted:
        words = f"you no longer have permission to {asked.action} in {repository}"
        _refuse(asked, who, found.project, words)
    if found.former is not None and not own:
        # A token from before a move still covers the old name, which lies in a project if an
        # image got another name.
        _refuse(asked, who, found.project, found.former.refusal)
    return role


def _refuse(asked: GateRequest, who: VerifiedToken, project: str, rule: str) -> NoReturn:
    _record(asked, who, project, rule)
    end_read()
    raise Denied(rule)


def _record(asked: GateRequest, who: VerifiedToken, project: str, rule: str) -> None:
    """Let whoever was refused find it where they look for why they were denied."""
    action = str(asked.action)
    what = (str(asked.repository), project, action, "", rule)
    decision_log().note(DecisionRecord(who.subject, "bearer token", "", "", *what))


def _identified(asked: GateRequest, authorization: str) -> VerifiedToken:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated(_scope(asked))
    try:
        return verifier().verify(token.strip())
    except TokenInvalid:
        raise Unauthenticated(_scope(asked), "invalid_token") from None


def _scope(asked: GateRequest) -> str:
    return f"repository:{asked.repository}:{','.join(NEEDED[asked.action])}"


class GateUsage:
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
    app.extensions["gate_in_use"] = GateUsage()
