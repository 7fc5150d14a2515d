"""Authorization of token requests: decide on the scopes, record the decision, sign a token."""

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
    """The decision on one requested scope.

    Attributes:
        place: the deepest namespace or project at or above the repository; "" if none.
        granted: the actions that were granted.
        rule: why the other requested actions were refused; "" if all were granted.
    """

    scope: Scope
    place: str
    granted: tuple[str, ...]
    rule: str

    @property
    def access(self) -> dict[str, Any]:
        """The entry for this resource in the ``access`` claim of the token."""
        return {
            "type": self.scope.kind,
            "name": self.scope.name,
            "actions": list(self.granted),
        }

    @property
    def resource(self) -> str:
        """The name of the resource as recorded and shown; with its type if not a repository."""
        scope = self.scope
        return scope.name if scope.kind == "repository" else f"{scope.kind}:{scope.name}"


def decide_all(
    engine: Engine, principal: Principal, scopes: list[Scope], places: AccessLookup
) -> list[Grant]:
    """Decide for each scope which of the requested actions the principal is granted.

    Granting only some of the actions, or none, is not an error (PROTOCOLS 1.8).

    Args:
        places: the result of places_of() for these scopes. It is read now unless the query
            for the credential has already read it.
    """
    found = places.standings(engine, principal)
    return [
        _decide_catalog(principal, scope)
        if scope.kind == "registry"
        else _decide(principal, scope, found[scope.name])
        for scope in scopes
    ]


def places_of(scopes: list[Scope]) -> AccessLookup:
    """Return an access lookup for all repositories in these scopes; it is not yet read."""
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
    """Add one record per grant to the decision log, or one for a sign-in without scopes."""
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
    """Sign a token for the grants and return the response body of the token endpoint.

    ``token`` and ``access_token`` are the same. ``issued_at`` has a time zone and whole
    seconds, and ``expires_in`` is an integer: clients fail on anything else (PROTOCOLS 1.4).
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
