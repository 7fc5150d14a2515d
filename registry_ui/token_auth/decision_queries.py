"""What the token endpoint decided, for those who may read it.

A user reads their own, a Maintainer those of a place and what is below it, an
administrator all. A stored rule can name what the reader may not see: there it is
replaced, so that it reads as if nothing stood there.
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

#: The largest number of a row that both databases can compare with.
MAX_ID = 2**31 - 1

#: The part of a rule that says where else a credential holds.
_ELSEWHERE = re.compile(rf"the [a-z ]+? is (?:only )?for ({NAME})(?:, not for .+| and what .+)?")


@dataclass(frozen=True, slots=True)
class DecisionFilters:
    """What a reader looks for. ``before`` is the row after which the page begins."""

    user: str = ""
    repository: str = ""
    refused: bool = False
    before: int | None = None


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One decision, as far as the reader may know it. ``place`` is one that they may see."""

    id: int
    at: datetime
    username: str
    credential: str
    address: str
    client: str
    repository: str
    place: str
    asked: str
    granted: str
    rule: str
    count: int

    @property
    def outcome(self) -> str:
        """``granted``, ``refused``, or ``partly granted``."""
        if not self.rule:
            return "granted"
        return "partly granted" if self.granted else "refused"


@dataclass(frozen=True, slots=True)
class DecisionPage:
    """A page of decisions, newest first; ``older`` is where the next one begins, if any."""

    rows: list[DecisionRow]
    older: int | None


def own(session: Session, reader: Principal, filters: DecisionFilters) -> DecisionPage:
    """Return a reader's own decisions, and what was tried in their name."""
    mine = TokenDecision.username == reader.username
    found, older = _page(session, mine, filters)
    visible = _visible(session, reader, found)
    rows = [_row(d, visible, rule=_for_oneself(d, reader, visible)) for d in found]
    return DecisionPage(rows, older)


def of_place(
    session: Session, reader: Principal, place: Place, filters: DecisionFilters
) -> DecisionPage:
    """Return the decisions at and below a place, for a reader who looks after it.

    What was decided before the place was made was decided about another of its name.
    """
    here = at_or_below(TokenDecision.place, place.path) & (TokenDecision.at >= place.created_at)
    found, older = _page(session, here, filters)
    visible = _visible(session, reader, found)
    if reader.is_admin:
        return DecisionPage([_row(d, visible, rule=impersonal(d.rule)) for d in found], older)
    return DecisionPage([_for_maintainer(d, reader, place, visible) for d in found], older)


def everything(session: Session, reader: Principal, filters: DecisionFilters) -> DecisionPage:
    """Return all decisions, for an administrator."""
    found, older = _page(session, None, filters)
    visible = _visible(session, reader, found)
    return DecisionPage([_row(d, visible, rule=impersonal(d.rule)) for d in found], older)


def _page(
    session: Session, condition: ColumnElement[bool] | None, filters: DecisionFilters
) -> tuple[list[TokenDecision], int | None]:
    """Return a page and where the next begins. Nothing is counted: there may be a million.

    Pages follow the rows as they were written; each process writes its own once a second, so
    that within a page the moments decide.
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
    found = list(session.scalars(query))
    older = found[PER_PAGE - 1].id if len(found) > PER_PAGE else None
    return sorted(found[:PER_PAGE], key=lambda row: row.at, reverse=True), older


def _visible(session: Session, reader: Principal, found: list[TokenDecision]) -> set[str]:
    """Return which places of a page the reader may see, by one query for all of them."""
    wanted = {decision.place for decision in found}
    query = select(Place.path).where(Place.path.in_(wanted), visible_places(session, reader))
    return set(session.scalars(query))


def _row(decision: TokenDecision, visible: set[str], *, rule: str, **changes: Any) -> DecisionRow:
    names = ["id", "at", "username", "credential", "address", "client"]
    names += ["repository", "asked", "granted", "count"]
    values = {name: getattr(decision, name) for name in names} | changes
    values |= {name: _in_order(values[name]) for name in ("asked", "granted")}
    place = decision.place if decision.place in visible else ""
    return DecisionRow(**values, place=place, rule=rule)


def _in_order(actions: str) -> str:
    """Return actions as people list them: the lesser before the greater."""
    order = {action: number for number, action in enumerate(ACTIONS)}
    return ", ".join(sorted(actions.split(","), key=lambda word: order.get(word, len(order))))


def _for_oneself(decision: TokenDecision, reader: Principal, visible: set[str]) -> str:
    """Return the rule, unless it is about what the reader may not see.

    Then it is the rule about what is not there, whatever was stored.
    """
    about_repository = decision.repository and ":" not in decision.repository
    if reader.is_admin or not decision.rule or not about_repository:
        return decision.rule
    return decision.rule if decision.place in visible else unowned(decision.repository)


def _for_maintainer(
    decision: TokenDecision, reader: Principal, place: Place, visible: set[str]
) -> DecisionRow:
    """Return a row without what is of no concern to a place.

    That is where else a credential holds, and of a person what they call it and from where
    they come.
    """
    if decision.username == reader.username:
        return _row(decision, visible, rule=decision.rule)
    rule = without_elsewhere(impersonal(decision.rule), place.path)
    if not decision.username or "+" in decision.username:
        return _row(decision, visible, rule=rule)
    kind = decision.credential.partition(" “")[0]
    return _row(decision, visible, rule=rule, credential=kind, address="")


def without_elsewhere(rule: str, path: str) -> str:
    """Return a rule that names no place but those at, above and below ``path``."""
    return "; ".join(_here_only(part, path) for part in rule.split("; "))


def _here_only(part: str, path: str) -> str:
    named = _ELSEWHERE.fullmatch(part)
    if named is None:
        return part
    other = named[1]
    if other == path or other.startswith(path + "/") or path.startswith(other + "/"):
        return part
    return part[: named.start(1)] + "another place"


def impersonal(rule: str) -> str:
    """Return a rule, made for whoever asked, in words for somebody else."""
    rule = rule.replace(", and you are signed in", ", and open to everyone signed in")
    return re.sub(r"(^|; )you (?:are|have) ", r"\1", rule)
