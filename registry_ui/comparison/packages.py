"""Differences between the packages of two images, if both have an SBOM."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from ..distribution.sbom import Package
from ..tags.version_sort import version_key
from .diff import ADDED, CHANGED, REMOVED

UPGRADED, DOWNGRADED = "upgraded", "downgraded"


@dataclass(frozen=True, slots=True)
class PackageChange:
    """A package that differs, with its versions on each side; empty if a side does not have it."""

    name: str
    type: str
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The kind of change: ``added``, ``removed``, ``upgraded``, ``downgraded``, or ``changed``.

        The kind is ``changed`` if a side has several versions of the package.
        """
        if not self.before:
            return ADDED
        if not self.after:
            return REMOVED
        if len(self.before) > 1 or len(self.after) > 1:
            return CHANGED
        later = version_key(self.after[0]) > version_key(self.before[0])
        return UPGRADED if later else DOWNGRADED


@dataclass(frozen=True, slots=True)
class PackageDiff:
    """All packages that differ, sorted by name; ``same`` is the number of equal packages."""

    changes: tuple[PackageChange, ...]
    same: int

    @property
    def counts(self) -> dict[str, int]:
        """The number of changes of each kind, in the order in which the page shows them."""
        counts = Counter(change.kind for change in self.changes)
        return {kind: counts[kind] for kind in (*_KIND_ORDER, CHANGED) if counts[kind]}

    def matching(self, q: str) -> list[PackageChange]:
        """Return the changes whose name contains ``q`` or whose type is ``q``, ignoring case."""
        text = q.lower()
        return [c for c in self.changes if text in c.name.lower() or text == c.type.lower()]


_KIND_ORDER = (ADDED, REMOVED, UPGRADED, DOWNGRADED)


def package_diff(before: Iterable[Package], after: Iterable[Package]) -> PackageDiff:
    """Compare two lists of packages by name and type; a package can have several versions."""
    old, new = _group_versions(before), _group_versions(after)
    keys = sorted(old.keys() | new.keys())
    changes = tuple(
        PackageChange(
            name=key[0],
            type=key[1],
            before=_sort_versions(old[key]),
            after=_sort_versions(new[key]),
        )
        for key in keys
        if old[key] != new[key]
    )
    return PackageDiff(changes, len(keys) - len(changes))


def _group_versions(packages: Iterable[Package]) -> defaultdict[tuple[str, str], set[str]]:
    versions: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for package in packages:
        versions[package.name, package.type].add(package.version)
    return versions


def _sort_versions(versions: set[str]) -> tuple[str, ...]:
    return tuple(sorted(versions, key=version_key))
