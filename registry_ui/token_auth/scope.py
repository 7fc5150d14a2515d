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
#: path is looked up. A single repository name has at most 128 such paths.
MAX_PREFIXES = 256
#: Maximum length of a scope that is cached after parsing, so that clients can't fill the memory.
MAX_CACHED_LENGTH = 300
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
    budget = _PrefixBudget(MAX_PREFIXES)
    texts = [text for value in values for text in value[:MAX_LENGTH].split(" ") if text]
    length = 0
    for text in texts[:MAX_SCOPES]:
        length += len(text)
        if length > MAX_LENGTH:
            break
        scope = _parse(text) if len(text) > MAX_CACHED_LENGTH else _parse_cached(text)
        if scope is not None and budget.charge(scope.name):
            key = (scope.kind, scope.name)
            merged[key] = merged.get(key, frozenset()) | scope.actions
    return [Scope(kind, name, actions) for (kind, name), actions in merged.items()]


class _PrefixBudget:
    """Limit on the different paths at and above the repository names of one request."""

    def __init__(self, size: int) -> None:
        self._remaining, self._charged = size, set[str]()

    def charge(self, name: str) -> bool:
        """Count the new paths at and above a name; return False if they exceed the budget."""
        if name in self._charged:
            return True
        new_paths, path = [], name
        while path and path not in self._charged:
            new_paths.append(path)
            path = path.rpartition("/")[0]
        if len(new_paths) > self._remaining:
            return False
        self._remaining -= len(new_paths)
        self._charged.update(new_paths)
        return True


def _parse(text: str) -> Scope | None:
    """Parse one scope; return None if it is not valid or requests no known action.

    The text is split at the first and the last colon, because the name can contain a port.
    """
    type_, first_colon, remainder = text.partition(":")
    name, last_colon, actions = remainder.rpartition(":")
    match = _TYPE.fullmatch(type_)
    if not (first_colon and last_colon and match):
        return None
    requested = frozenset(actions.split(","))
    # Ignore the class, as in repository(plugin): registries reject tokens that contain it.
    if match[1] == "registry" and name == "catalog" and "*" in requested:
        return Scope("registry", "catalog", frozenset({"*"}))
    if match[1] != "repository":
        return None
    try:
        RepositoryName(name)
    except NameInvalid:
        return None
    accepted = frozenset(ACTIONS) if "*" in requested else requested & frozenset(ACTIONS)
    return Scope("repository", name, accepted) if accepted else None


# Cached because clients request the same few scopes again and again.
_parse_cached = lru_cache(maxsize=512)(_parse)
