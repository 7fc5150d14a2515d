"""Decide whether a push or a deletion can be forwarded to the registry: by token, then by rules.

Every push waits for this decision. If no rule covers the tag, the decision takes three queries and
no registry call. If a rule applies and the registry does not answer, the request is refused. A
write freeze, a blocked account, and a lost role take effect immediately, although older
bearer tokens would still be valid. The proxy asks the gate after it has received the whole
manifest, and the state at that moment counts.
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
from ..names import Digest, is_trash_tag
from ..token_auth.decision_log import DecisionRecord, decision_log
from ..token_auth.verifier import TokenInvalid, VerifiedToken, verifier
from .request import GateRequest
from .rules import Change, check_blob, check_digest, check_tag

#: Actions that a token must grant before the registry accepts a push or a deletion (PROTOCOLS 1.1).
REQUIRED_ACTIONS = {Permission.PUSH: ("pull", "push"), Permission.DELETE: ("delete",)}
TRASH_REFUSAL = "clients can't push or delete tags in the trash"
#: Minimum number of seconds between two records that the gate is in use.
RECORD_INTERVAL = 60.0


class Unauthenticated(Unauthorized):
    """The bearer token is missing, invalid, or does not cover the request.

    Attributes:
        scope: the scope that the token must grant, for the Bearer challenge.
        problem: the ``error`` parameter of the challenge; "" if there was no token.
    """

    def __init__(self, scope: str, problem: str = "") -> None:
        super().__init__("authentication required")
        self.scope, self.problem = scope, problem


def authorize(request: GateRequest, authorization: str) -> None:
    """Authorize a push or a deletion: return if it is allowed, raise if it is not.

    Args:
        request: the request to decide on.
        authorization: the client's Authorization header, unchanged.

    Raises:
        Unauthenticated: the token is missing, invalid, or does not cover the request; the registry
            would respond in the same way.
        Denied: a write freeze or a rule of the project refuses the request, or the
            permission was withdrawn. The message is shown in the client's terminal.
        RegistryNotAnswering: a rule applies, and the registry does not answer.
    """
    policy = repository_policy(db.session(), str(request.repository))
    changes_no_tag = request.action is Permission.PUSH and isinstance(request.reference, Digest)
    if changes_no_tag and policy.freeze is None:
        end_read()
        return  # A push by digest changes no tag: it is a child of an index, or a referrer.
    token = _identify(request, authorization)
    role = _check_permission(request, token, policy)
    if token.subject == OWN_SUBJECT:
        return  # The application checked the rules when it planned its own operation.
    if is_trash_tag(str(request.reference)):
        raise Denied(TRASH_REFUSAL)
    rules = [rule for rule in policy.rules if rule.images.matches(policy.image_name)]
    change = Change(request.action, request.repository, policy.image_name, rules, role, token)
    try:
        _check_rules(change, request)
    except Denied as error:
        _record(request, token, policy.project, error.message)
        raise


def _check_rules(change: Change, request: GateRequest) -> None:
    if request.is_blob:
        check_blob(change)
    elif not change.rules:
        end_read()
    elif isinstance(request.reference, Digest):
        check_digest(change, request.reference)
    else:
        check_tag(change, request.reference)


def _check_permission(
    request: GateRequest, token: VerifiedToken, policy: RepositoryPolicy
) -> Role | None:
    """Check the caller's current permission and return the role.

    Returns None for a call by this application, which needs no role. The permission is checked
    again because a token stays valid after the permission for which it was issued is withdrawn.

    Raises:
        Unauthenticated: the token does not cover the request.
        Denied: a write freeze is active, the permission was withdrawn, or the repository
            has moved.
    """
    repository = str(request.repository)
    is_covered = token.grants(repository, REQUIRED_ACTIONS[request.action])
    is_own = token.subject == OWN_SUBJECT
    role = None
    if not is_own and (is_covered or policy.freeze is not None):
        role = current_role(db.session(), token.subject, repository)
    is_permitted = role is not None and role >= RULE_OF[request.action].minimum
    if policy.freeze is not None and is_permitted:
        # A token that was issued during the write freeze covers no push, so without this check
        # the client would see only a missing permission. Users without permission get no
        # information about the freeze.
        _refuse(request, token, policy.project, policy.freeze.rule(repository))
    if not is_covered:
        raise Unauthenticated(_required_scope(request), "insufficient_scope")
    current_app.extensions["gate_in_use"].record()
    if not is_own and not is_permitted:
        message = f"you no longer have permission to {request.action} in {repository}"
        _refuse(request, token, policy.project, message)
    if policy.old_path is not None and not is_own:
        # A token that was issued before a move still permits the old path. If only the image was
        # moved, the old path is still in its project, so that the checks above permit it, too.
        _refuse(request, token, policy.project, policy.old_path.refusal)
    return role


def _refuse(request: GateRequest, token: VerifiedToken, project: str, rule: str) -> NoReturn:
    _record(request, token, project, rule)
    end_read()
    raise Denied(rule)


def _record(request: GateRequest, token: VerifiedToken, project: str, rule: str) -> None:
    """Add a refusal to the log in which users look up why a request was denied."""
    decision_log().record(
        DecisionRecord(
            username=token.subject,
            credential="bearer token",
            repository=str(request.repository),
            place=project,
            requested=str(request.action),
            rule=rule,
        )
    )


def _identify(request: GateRequest, authorization: str) -> VerifiedToken:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated(_required_scope(request))
    try:
        return verifier().verify(token.strip())
    except TokenInvalid:
        raise Unauthenticated(_required_scope(request), "invalid_token") from None


def _required_scope(request: GateRequest) -> str:
    return f"repository:{request.repository}:{','.join(REQUIRED_ACTIONS[request.action])}"


class GateUsage:
    """Records when the gate was last used. It writes at most once per minute."""

    def __init__(self) -> None:
        self._next_record_at, self._lock = 0.0, threading.Lock()

    def record(self) -> None:
        """Record that the gate is in use, at most once every RECORD_INTERVAL seconds."""
        with self._lock:
            if time.monotonic() < self._next_record_at:
                return
            self._next_record_at = time.monotonic() + RECORD_INTERVAL
        with writing() as session:
            session.merge(Heartbeat(name=GATE_ASKED, at=utc_now()))


def init_app(app: Flask) -> None:
    """Create this process's recorder of the gate's use."""
    app.extensions["gate_in_use"] = GateUsage()
