"""Authorization of token requests: decide on the scopes, record the decision, and sign a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from ..access import AccessLookup, PathAccess, Permission, Principal, decide_repository
from .decision_log import DecisionLog, DecisionRecord
from .keyring import RotatingSigner
from .scope import ACTIONS, Scope
from .visitors import ACCOUNT, UNOWNED, VISITOR

_PERMISSIONS = tuple((action, Permission(action)) for action in ACTIONS)
CATALOG_RULE = "the catalog of the registry is for administrators"


@dataclass(frozen=True, slots=True)
class Grant:
    """The decision on one requested scope.

    Attributes:
        place: the deepest namespace or project at or above the repository; "" if none.
        granted: the actions that were granted.
        rule: why the remaining requested actions were refused; "" if all were granted.
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
        """The resource's name as recorded and shown, with its type unless it is a repository."""
        scope = self.scope
        return scope.name if scope.kind == "repository" else f"{scope.kind}:{scope.name}"


def decide_all(
    engine: Engine, principal: Principal, scopes: list[Scope], lookup: AccessLookup
) -> list[Grant]:
    """Decide for each scope which of the requested actions the principal is granted.

    Granting only some of the actions, or none, is not an error (PROTOCOLS 1.8).

    Args:
        lookup: the result of lookup_from_scopes() for these scopes. It queries the database now,
            unless the query for the credential has already fetched its data.
    """
    accesses = lookup.path_accesses(engine, principal)
    return [
        _decide_catalog(principal, scope)
        if scope.kind == "registry"
        else _decide_repository(principal, scope, accesses[scope.name])
        for scope in scopes
    ]


def lookup_from_scopes(scopes: list[Scope]) -> AccessLookup:
    """Return an access lookup for all repositories in these scopes, without running its query."""
    return AccessLookup(scope.name for scope in scopes if scope.kind == "repository")


def _decide_catalog(principal: Principal, scope: Scope) -> Grant:
    is_unrestricted = principal.restriction is None and principal.lets_through(Permission.PULL)
    allowed = principal.is_admin and is_unrestricted
    return Grant(scope, "", ("*",) if allowed else (), "" if allowed else CATALOG_RULE)


def _decide_repository(principal: Principal, scope: Scope, access: PathAccess) -> Grant:
    granted, rules = [], dict[str, None]()
    for action, permission in _PERMISSIONS:
        if action not in scope.actions:
            continue
        decision = decide_repository(principal, access, permission)
        if decision.allowed:
            granted.append(action)
        else:
            rules[decision.rule] = None
    return Grant(scope, access.place or "", tuple(granted), "; ".join(rules))


def record_decision(
    log: DecisionLog, principal: Principal, grants: list[Grant], address: str, client: str
) -> None:
    """Add a record for each grant to the decision log, or a single one if there are no grants."""
    username, credential = principal.username, principal.credential[:150]
    if not grants:
        category = UNOWNED if principal.is_anonymous else ACCOUNT
        log.record(DecisionRecord(username, credential, address, client, category=category))
    for grant in grants:
        category = ACCOUNT
        if principal.is_anonymous:
            category = VISITOR if grant.place else UNOWNED
        log.record(
            DecisionRecord(
                username,
                credential,
                address,
                client,
                repository=grant.resource,
                place=grant.place,
                requested=",".join(sorted(grant.scope.actions)),
                granted=",".join(grant.granted),
                rule=grant.rule,
                category=category,
            )
        )


def answer(signer: RotatingSigner, principal: Principal, grants: list[Grant]) -> dict[str, Any]:
    """Sign a token for the grants and return the response body of the token endpoint.

    ``token`` and ``access_token`` are the same. ``issued_at`` has a time zone and whole
    seconds, and ``expires_in`` is an integer: clients fail on anything else (PROTOCOLS 1.4).
    """
    entries = [grant.access for grant in grants if grant.granted]
    token = signer.sign(principal.username, entries)
    scope = " ".join(
        f"{entry['type']}:{entry['name']}:{','.join(entry['actions'])}" for entry in entries
    )
    return {
        "token": token.token,
        "access_token": token.token,
        "expires_in": token.lifetime,
        "issued_at": token.issued_at,
        "scope": scope,
    }
