"""Scopes as clients really send them (PROTOCOLS 1.2, 1.7). Pure; never raises."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from ..names import NameInvalid, RepositoryName

MAX_SCOPES = 50
MAX_LENGTH = 8 * 1024
#: Maximum number of paths that may own the repositories of one request: names and all above
#: them. One name has 128 at most.
MAX_PREFIXES = 256
#: Words longer than this are parsed again each time: what strangers send must not fill memory.
MAX_REMEMBERED = 300
ACTIONS = ("pull", "push", "delete")

_TYPE = re.compile(r"([a-z0-9]+)(?:\([a-z0-9]+\))?")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a client asks for one resource.

    ``kind`` is ``repository`` or ``registry``; ``actions`` are known words only,
    ``*`` already expanded for repositories.
    """

    kind: str
    name: str
    actions: frozenset[str]


def parse_scopes(values: Iterable[str]) -> list[Scope]:
    """Parse any number of ``scope`` parameters, each with any number of scopes.

    Scopes for the same resource are merged. What can't be parsed, or is of a type
    or action that we do not know, is left out; the request does not fail for it.
    What is over the limits of count, length and depth is left out too.
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
    """Counts the paths at and above names, each once."""

    def __init__(self, size: int) -> None:
        self._left, self._seen = size, set[str]()

    def takes(self, name: str) -> bool:
        """Take the paths of a name that were not taken yet, if there is room for them."""
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
    """Split at the first and the last colon: a name may hold a port between them."""
    type_, first, rest = word.partition(":")
    name, last, actions = rest.rpartition(":")
    matched = _TYPE.fullmatch(type_)
    if not (first and last and matched):
        return None
    wanted = frozenset(actions.split(","))
    # The class, as in repository(plugin), is deprecated, and echoing it is refused.
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


# Clients ask for the same few scopes all day.
_remembered = lru_cache(maxsize=512)(_parse)
