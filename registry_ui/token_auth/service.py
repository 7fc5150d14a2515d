"""From credentials and scopes to a signed token: authenticate, decide, sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from ..access import Principal, Right, Standing, decide_repository, standings
from .scope import ACTIONS, Scope
from .signer import SignedToken, Signer


@dataclass(frozen=True, slots=True)
class Refusal:
    """A part of a scope that was not granted, and the rule that refused it."""

    name: str
    action: str
    rule: str


def grant(
    session: Session, principal: Principal, scopes: list[Scope]
) -> tuple[list[dict[str, Any]], list[Refusal]]:
    """Cut the scopes down to what the principal may do, by one query for all of them.

    A subset, or nothing at all, is no error (PROTOCOLS 1.8). Returns the ``access``
    claim and every refusal.
    """
    found = standings(session, principal, [s.name for s in scopes if s.kind == "repository"])
    access: list[dict[str, Any]] = []
    refusals: list[Refusal] = []
    for scope in scopes:
        if scope.kind == "registry":
            if principal.is_admin and principal.lets_through(Right.PULL):
                access.append({"type": "registry", "name": scope.name, "actions": ["*"]})
            else:
                refusals.append(Refusal(scope.name, "*", "the catalog is for administrators"))
            continue
        actions = _allowed(principal, scope, found[scope.name], refusals)
        if actions:
            access.append({"type": "repository", "name": scope.name, "actions": actions})
    return access, refusals


def _allowed(
    principal: Principal, scope: Scope, standing: Standing, refusals: list[Refusal]
) -> list[str]:
    actions = []
    for action in ACTIONS:
        if action not in scope.actions:
            continue
        decision = decide_repository(principal, standing, Right(action))
        if decision.allowed:
            actions.append(action)
        else:
            refusals.append(Refusal(scope.name, action, decision.rule))
    return actions


def answer(signer: Signer, principal: Principal, access: list[dict[str, Any]]) -> dict[str, Any]:
    """Sign, and return the answer's JSON.

    ``token`` and ``access_token`` are the same; ``issued_at`` has a zone and whole
    seconds, ``expires_in`` is an integer: clients fail on anything else (PROTOCOLS 1.4).
    """
    signed: SignedToken = signer.sign(principal.username, access)
    scope = " ".join(f"{a['type']}:{a['name']}:{','.join(a['actions'])}" for a in access)
    return {
        "token": signed.token,
        "access_token": signed.token,
        "expires_in": signed.lifetime,
        "issued_at": signed.issued_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "scope": scope,
    }
