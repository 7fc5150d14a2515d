"""Parser for scopes as clients really send them (PROTOCOLS 1.2, 1.7). Pure; never raises."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from ..names import NameInvalid, RepositoryName

MAX_SCOPES = 50
MAX_LENGTH = 8 * 1024
#: Maximum number of different paths at and above the repositories of one request, because each
#: is looked up. One repository name has at most 128.
MAX_PREFIXES = 256
#: Maximum length of a scope that is cached after parsing, so that clients can't fill the memory.
MAX_REMEMBERED = 300
ACTIONS = ("pull", "push", "delete")

_TYPE = re.compile(r"([a-z0-9]+)(?:\([a-z0-9]+\))?")


@dataclass(frozen=True, slots=True)
class Scope:
    """The actions that a client requests for one resource.

    Attributes:
        kind: ``repository`` or ``registry``.
        actions: known actions only. For a repository, ``*`` is already expanded.
    """

    kind: str
    name: str
    actions: frozenset[str]


def parse_scopes(values: Iterable[str]) -> list[Scope]:
    """Parse any number of ``scope`` parameters, each with any number of scopes.

    Scopes for the same resource are merged. Scopes that can't be parsed, and unknown types and
    actions, are ignored and do not fail the request. The same applies to scopes above the
    limits of number, length, and depth.
    """
    merged: dict[tuple[str, str], frozenset[str]] = {}
    room = _Room(MAX_PREFIXES)
    words = [word for value in values for word in value[:MAX_LENGTH].split(" ") if word]
    length = 0
    for word in words[:MAX_SCOPES]:
        length += len(word)
        if length > MAX_LENGTH:
            break
        scope = _parse(word) if len(word) > MAX_REMEMBERED else _remembered(word)
        if scope is not None and room.takes(scope.name):
            key = (scope.kind, scope.name)
            merged[key] = merged.get(key, frozenset()) | scope.actions
    return [Scope(kind, name, actions) for (kind, name), actions in merged.items()]


class _Room:
    """Budget of different paths at and above repository names."""

    def __init__(self, size: int) -> None:
        self._left, self._seen = size, set[str]()

    def takes(self, name: str) -> bool:
        """Charge the new paths at and above a name; return False if the budget is too small."""
        if name in self._seen:
            return True
        new, above = [], name
        while above and above not in self._seen:
            new.append(above)
            above = above.rpartition("/")[0]
        if len(new) > self._left:
            return False
        self._left -= len(new)
        self._seen.update(new)
        return True


def _parse(word: str) -> Scope | None:
    """Parse one scope; return None if it is not valid or nothing known is requested.

    It is split at the first and the last colon, because the name can contain a port.
    """
    type_, first, rest = word.partition(":")
    name, last, actions = rest.rpartition(":")
    matched = _TYPE.fullmatch(type_)
    if not (first and last and matched):
        return None
    wanted = frozenset(actions.split(","))
    # Ignore the class, as in repository(plugin): registries reject tokens that repeat it.
    if matched[1] == "registry" and name == "catalog" and "*" in wanted:
        return Scope("registry", "catalog", frozenset({"*"}))
    if matched[1] != "repository":
        return None
    try:
        RepositoryName(name)
    except NameInvalid:
        return None
    known = frozenset(ACTIONS) if "*" in wanted else wanted & frozenset(ACTIONS)
    return Scope("repository", name, known) if known else None


# Cached because clients request the same few scopes again and again.
_remembered = lru_cache(maxsize=512)(_parse)
