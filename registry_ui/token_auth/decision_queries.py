"""Queries for token decisions, limited to what the signed-in user (``reader``) may see.

A token decision is a recorded answer of the token endpoint. Users can read the decisions about
their own user name, Maintainers those about a namespace or project and everything below it, and
administrators all. If a stored rule mentions a namespace or project that the signed-in user
can't see, the rule is replaced by the one for a nonexistent repository.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from ..access import Principal, at_or_below, unowned, visible_places
from ..models import Place, TokenDecision
from ..names import NAME
from ..pagination import PER_PAGE
from .scope import ACTIONS

#: Largest row id that both SQLite and PostgreSQL can compare with.
MAX_ID = 2**31 - 1

#: Matches a rule about the path that a token is restricted to, and captures the path.
_RESTRICTION_RULE = re.compile(
    rf"the [a-z ]+? is (?:only )?for ({NAME})(?:, not for .+| and what .+)?"
)


@dataclass(frozen=True, slots=True)
class DecisionFilters:
    """Filters for a page of token decisions.

    Attributes:
        user: user name; empty for all users.
        repository: path of a repository, or a path above it; empty for all repositories.
        refused: whether to return only decisions that refused at least one action.
        before: only rows with a lower id are returned; None for the first page.
    """

    user: str = ""
    repository: str = ""
    refused: bool = False
    before: int | None = None

    @property
    def is_set(self) -> bool:
        """Whether the page leaves out any decision."""
        return bool(self.user or self.repository or self.refused or self.before)


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One token decision, reduced to what the signed-in user may see.

    Attributes:
        place: path of the namespace or project; empty if the signed-in user can't see it.
        requested: requested actions, separated by commas.
        granted: granted actions, separated by commas.
        rule: why actions were refused; empty if all were granted.
        count: number of equal decisions that the row stands for.
    """

    id: int
    at: datetime
    username: str
    credential: str
    address: str
    client: str
    repository: str
    place: str
    requested: str
    granted: str
    rule: str
    count: int

    @property
    def outcome(self) -> str:
        """The outcome in words: ``granted``, ``refused``, or ``partly granted``."""
        if not self.rule:
            return "granted"
        return "partly granted" if self.granted else "refused"


@dataclass(frozen=True, slots=True)
class DecisionPage:
    """A page of token decisions, newest first.

    Attributes:
        older: the value of ``before`` for the next page; None if this is the last one.
    """

    rows: list[DecisionRow]
    older: int | None


def own_decisions(session: Session, reader: Principal, filters: DecisionFilters) -> DecisionPage:
    """Return a page of decisions about the signed-in user's name, including attempts by others."""
    condition = TokenDecision.username == reader.username
    decisions, older = _fetch_page(session, condition, filters)
    visible_paths = _fetch_visible_paths(session, reader, decisions)
    rows = [_row_for_oneself(decision, reader, visible_paths) for decision in decisions]
    return DecisionPage(rows, older)


def place_decisions(
    session: Session, reader: Principal, place: Place, filters: DecisionFilters
) -> DecisionPage:
    """Return a page of decisions about a namespace or project, for a Maintainer of it.

    Decisions about everything below it are included. Decisions from before it was created are
    left out: they are about an earlier namespace or project with the same path.
    """
    is_below = at_or_below(TokenDecision.place, place.path)
    condition = is_below & (TokenDecision.at >= place.created_at)
    decisions, older = _fetch_page(session, condition, filters)
    visible_paths = _fetch_visible_paths(session, reader, decisions)
    if reader.is_admin:
        return DecisionPage(_impersonal_rows(decisions, visible_paths), older)
    rows = [_row_for_maintainer(decision, reader, place, visible_paths) for decision in decisions]
    return DecisionPage(rows, older)


def all_decisions(session: Session, reader: Principal, filters: DecisionFilters) -> DecisionPage:
    """Return a page of all decisions, for an administrator."""
    decisions, older = _fetch_page(session, None, filters)
    visible_paths = _fetch_visible_paths(session, reader, decisions)
    return DecisionPage(_impersonal_rows(decisions, visible_paths), older)


def _fetch_page(
    session: Session, condition: ColumnElement[bool] | None, filters: DecisionFilters
) -> tuple[list[TokenDecision], int | None]:
    """Return a page of decisions, and ``before`` for the next page (None on the last one).

    Matching rows are not counted, because there can be a million. Pages are cut by row id, that
    is by the order of writing. Each process writes its decisions once a second, so the ids are
    not quite in order of time, and each page is sorted by time.
    """
    query = select(TokenDecision).order_by(TokenDecision.id.desc()).limit(PER_PAGE + 1)
    if condition is not None:
        query = query.where(condition)
    if filters.user:
        query = query.where(TokenDecision.username == filters.user)
    if filters.repository:
        query = query.where(at_or_below(TokenDecision.repository, filters.repository))
    if filters.refused:
        query = query.where(TokenDecision.rule != "")
    if filters.before is not None:
        query = query.where(TokenDecision.id < filters.before)
    decisions = list(session.scalars(query))
    older = decisions[PER_PAGE - 1].id if len(decisions) > PER_PAGE else None
    return sorted(decisions[:PER_PAGE], key=lambda row: row.at, reverse=True), older


def _fetch_visible_paths(
    session: Session, reader: Principal, decisions: list[TokenDecision]
) -> set[str]:
    """Return the paths of those places of ``decisions`` that the user can see (one query)."""
    paths = {decision.place for decision in decisions}
    query = select(Place.path).where(Place.path.in_(paths), visible_places(session, reader))
    return set(session.scalars(query))


def _row_from_decision(
    decision: TokenDecision, visible_paths: set[str], *, rule: str, **changes: Any
) -> DecisionRow:
    columns = ["id", "at", "username", "credential", "address", "client"]
    columns += ["repository", "requested", "granted", "count"]
    values = {name: getattr(decision, name) for name in columns} | changes
    values |= {name: _sort_actions(values[name]) for name in ("requested", "granted")}
    place = decision.place if decision.place in visible_paths else ""
    return DecisionRow(**values, place=place, rule=rule)


def _impersonal_rows(decisions: list[TokenDecision], visible_paths: set[str]) -> list[DecisionRow]:
    return [
        _row_from_decision(decision, visible_paths, rule=impersonal(decision.rule))
        for decision in decisions
    ]


def _sort_actions(actions: str) -> str:
    """Return a list of actions, separated by commas, in the order pull, push, delete."""
    order = {action: number for number, action in enumerate(ACTIONS)}
    return ", ".join(sorted(actions.split(","), key=lambda action: order.get(action, len(order))))


def _row_for_oneself(
    decision: TokenDecision, reader: Principal, visible_paths: set[str]
) -> DecisionRow:
    """Return the row for a decision about the signed-in user's own name.

    If the user can't see the repository, the rule is the one for a nonexistent repository.
    """
    rule = decision.rule
    is_about_repository = decision.repository and ":" not in decision.repository
    is_limited = rule and is_about_repository and not reader.is_admin
    if is_limited and decision.place not in visible_paths:
        rule = unowned(decision.repository)
    return _row_from_decision(decision, visible_paths, rule=rule)


def _row_for_maintainer(
    decision: TokenDecision, reader: Principal, place: Place, visible_paths: set[str]
) -> DecisionRow:
    """Return the row for a decision, without details that a Maintainer must not see.

    Hidden are the paths outside of ``place`` that a token is restricted to and, for users, the
    names of their tokens and their IP addresses. Nothing is hidden from the user concerned.
    """
    if decision.username == reader.username:
        return _row_from_decision(decision, visible_paths, rule=decision.rule)
    rule = without_elsewhere(impersonal(decision.rule), place.path)
    if not decision.username or "+" in decision.username:
        return _row_from_decision(decision, visible_paths, rule=rule)
    kind = decision.credential.partition(" “")[0]
    return _row_from_decision(decision, visible_paths, rule=rule, credential=kind, address="")


def without_elsewhere(rule: str, path: str) -> str:
    """Return a rule that names only token restrictions at, above, or below ``path``.

    The path of any other restriction is replaced by “another place”.
    """
    return "; ".join(_hide_other_path(clause, path) for clause in rule.split("; "))


def _hide_other_path(rule: str, path: str) -> str:
    match = _RESTRICTION_RULE.fullmatch(rule)
    if match is None:
        return rule
    restriction = match[1]
    if (
        restriction == path
        or restriction.startswith(path + "/")
        or path.startswith(restriction + "/")
    ):
        return rule
    return rule[: match.start(1)] + "another place"


def impersonal(rule: str) -> str:
    """Return a rule that addresses the requester (“you”), rephrased for other readers."""
    rule = rule.replace(", and you are signed in", ", and open to everyone signed in")
    return re.sub(r"(^|; )you (?:are|have) ", r"\1", rule)
