"""From a principal and scopes to a signed token: decide, record, sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from ..access import AccessLookup, PathAccess, Permission, Principal, decide_repository
from .decision_log import DecisionLog, DecisionRecord
from .keyring import RotatingSigner
from .scope import ACTIONS, Scope
from .visitors import ACCOUNT, UNOWNED, VISITOR

_RIGHTS = tuple((action, Permission(action)) for action in ACTIONS)
CATALOG_RULE = "the catalog of the registry is for administrators"


@dataclass(frozen=True, slots=True)
class Grant:
    """What was decided about one resource.

    ``rule`` says what refused whatever was asked and not granted; "" where nothing was.
    """

    scope: Scope
    place: str
    granted: tuple[str, ...]
    rule: str

    @property
    def access(self) -> dict[str, Any]:
        """The entry of the ``access`` claim."""
        return {
            "type": self.scope.kind,
            "name": self.scope.name,
            "actions": list(self.granted),
        }

    @property
    def resource(self) -> str:
        """The name of the resource, as records and pages have it."""
        scope = self.scope
        return scope.name if scope.kind == "repository" else f"{scope.kind}:{scope.name}"


def decide_all(
    engine: Engine, principal: Principal, scopes: list[Scope], places: AccessLookup
) -> list[Grant]:
    """Cut the scopes down to what the principal may do.

    A subset, or nothing at all, is no error (PROTOCOLS 1.8).

    Args:
        places: those of the scopes, as places_of() has them; read with the credential, or now.
    """
    found = places.standings(engine, principal)
    return [
        _decide_catalog(principal, scope)
        if scope.kind == "registry"
        else _decide(principal, scope, found[scope.name])
        for scope in scopes
    ]


def places_of(scopes: list[Scope]) -> AccessLookup:
    """Return what has to be looked up for these scopes."""
    return AccessLookup(scope.name for scope in scopes if scope.kind == "repository")


def _decide_catalog(principal: Principal, scope: Scope) -> Grant:
    unbound = principal.reach is None and principal.lets_through(Permission.PULL)
    allowed = principal.is_admin and unbound
    return Grant(scope, "", ("*",) if allowed else (), "" if allowed else CATALOG_RULE)


def _decide(principal: Principal, scope: Scope, standing: PathAccess) -> Grant:
    granted, rules = [], dict[str, None]()
    for action, right in _RIGHTS:
        if action not in scope.actions:
            continue
        decision = decide_repository(principal, standing, right)
        if decision.allowed:
            granted.append(action)
        else:
            rules[decision.rule] = None
    return Grant(scope, standing.place or "", tuple(granted), "; ".join(rules))


def record_decision(
    journal: DecisionLog, principal: Principal, grants: list[Grant], address: str, client: str
) -> None:
    """Record what was decided; a sign-in without scopes is recorded as such."""
    who = (principal.username, principal.credential[:150], address, client)
    if not grants:
        category = UNOWNED if principal.is_anonymous else ACCOUNT
        journal.note(DecisionRecord(*who, "", "", "", "", "", category))
    for grant in grants:
        asked = ",".join(sorted(grant.scope.actions))
        granted = ",".join(grant.granted)
        category = ACCOUNT
        if principal.is_anonymous:
            category = VISITOR if grant.place else UNOWNED
        what = (grant.resource, grant.place, asked, granted, grant.rule)
        journal.note(DecisionRecord(*who, *what, category))


def answer(signer: RotatingSigner, principal: Principal, grants: list[Grant]) -> dict[str, Any]:
    """Sign, and return the answer's JSON.

    ``token`` and ``access_token`` are the same; ``issued_at`` has a zone and whole
    seconds, ``expires_in`` is an integer: clients fail on anything else (PROTOCOLS 1.4).
    """
    access = [grant.access for grant in grants if grant.granted]
    signed = signer.sign(principal.username, access)
    scope = " ".join(f"{a['type']}:{a['name']}:{','.join(a['actions'])}" for a in access)
    return {
        "token": signed.token,
        "access_token": signed.token,
        "expires_in": signed.lifetime,
        "issued_at": signed.issued_at,
        "scope": scope,
    }
