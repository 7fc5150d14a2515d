"""Decide whether a push or a deletion can be forwarded to the registry: by token, then by rules.

Every push waits for this. If no rule covers the tag, it costs three queries and no registry call.
If a rule applies and the registry does not answer, the request is refused. A write freeze (fence),
a blocked account and a lost role take effect immediately, although older bearer tokens would still
be valid. The proxy asks after it has received the whole manifest, and the state at that moment
counts.
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

#: Actions that the registry requires a token to grant (PROTOCOLS 1.1).
NEEDED = {Permission.PUSH: ("pull", "push"), Permission.DELETE: ("delete",)}
BIN = "tags of the bin are neither pushed nor deleted by clients"
#: Minimum number of seconds between two records that the gate is in use.
NOTE_EVERY = 60.0


class Unauthenticated(Unauthorized):
    """The bearer token is missing, invalid, or does not cover the request.

    Attributes:
        scope: the scope that the token must grant, for the challenge.
        problem: the ``error`` of the challenge; "" if there was no token.
    """

    def __init__(self, scope: str, problem: str = "") -> None:
        super().__init__("authentication required")
        self.scope, self.problem = scope, problem


def authorize(asked: GateRequest, authorization: str) -> None:
    """Authorize a push or a deletion: return if it is allowed, raise if it is not.

    Args:
        asked: the request to decide on.
        authorization: the client's Authorization header, unchanged.

    Raises:
        Unauthenticated: the token is missing or does not cover the request; the registry would
            answer the same.
        Denied: a write freeze (fence) or a rule of the project refuses the request, or the
            permission was withdrawn. The message is shown in the client's terminal.
        RegistryNotAnswering: a rule applies, and the registry does not answer.
    """
    found = repository_policy(db.session(), str(asked.repository))
    changes_no_tag = asked.action is Permission.PUSH and isinstance(asked.reference, Digest)
    if changes_no_tag and found.fence is None:
        end_read()
        return  # A push by digest changes no tag: it is a child of an index, or a referrer.
    who = _identified(asked, authorization)
    role = _authorize(asked, who, found)
    if who.subject == OWN_SUBJECT:
        return  # The application checked the rules when it planned its own operation.
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
    """Check the caller's current permission and return the role; None for our own calls.

    The permission is checked again because a token stays valid after the permission for which it
    was issued is withdrawn.

    Raises:
        Unauthenticated: the token does not cover the request.
        Denied: a write freeze (fence) is active, the permission was withdrawn, or the repository
            has moved.
    """
    repository = str(asked.repository)
    covered = who.grants(repository, NEEDED[asked.action])
    own = who.subject == OWN_SUBJECT
    role = None
    if not own and (covered or found.fence is not None):
        role = current_role(db.session(), who.subject, repository)
    permitted = role is not None and role >= RULE_OF[asked.action].minimum
    if found.fence is not None and permitted:
        # A token that was issued during the write freeze covers no push, so without this check
        # the client would see only a missing permission. Users without permission get no
        # information about the freeze.
        _refuse(asked, who, found.project, found.fence.rule(repository))
    if not covered:
        raise Unauthenticated(_scope(asked), "insufficient_scope")
    current_app.extensions["gate_in_use"].note()
    if not own and not permitted:
        words = f"you no longer have permission to {asked.action} in {repository}"
        _refuse(asked, who, found.project, words)
    if found.former is not None and not own:
        # A token from before a move still covers the old name, and the old name still belongs to
        # a project if only the image was renamed.
        _refuse(asked, who, found.project, found.former.refusal)
    return role


def _refuse(asked: GateRequest, who: VerifiedToken, project: str, rule: str) -> NoReturn:
    _record(asked, who, project, rule)
    end_read()
    raise Denied(rule)


def _record(asked: GateRequest, who: VerifiedToken, project: str, rule: str) -> None:
    """Add a refusal to the log in which users look up why a request was denied."""
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
    """Recorder of the last use of the gate, which administrators see. Writes once per minute."""

    def __init__(self) -> None:
        self._next, self._lock = 0.0, threading.Lock()

    def note(self) -> None:
        """Record that the gate is in use, unless this was done less than NOTE_EVERY ago."""
        with self._lock:
            if time.monotonic() < self._next:
                return
            self._next = time.monotonic() + NOTE_EVERY
        with writing() as session:
            session.merge(Heartbeat(name=GATE_ASKED, at=utc_now()))


def init_app(app: Flask) -> None:
    """Create this process's recorder of the gate's use."""
    app.extensions["gate_in_use"] = GateUsage()
