"""Compute differences between two lists, sets, or mappings. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

ADDED, REMOVED, CHANGED, SAME = "added", "removed", "changed", "unchanged"
#: Number of unchanged lines shown around a change; the rest of a longer run is folded.
CONTEXT_LINES = 2


@dataclass(frozen=True, slots=True)
class Change:
    """A named value before and after a change; None if that side does not have the value."""

    name: str
    before: str | None
    after: str | None

    @property
    def kind(self) -> str:
        """The kind of change: ``added``, ``removed``, ``changed``, or ``unchanged``."""
        if self.before == self.after:
            return SAME
        if self.before is None:
            return ADDED
        return REMOVED if self.after is None else CHANGED


@dataclass(frozen=True, slots=True)
class Group:
    """The changes to one kind of setting, including unchanged values.

    ``title`` is the heading, such as "Labels"; ``noun`` is the name of one item, such as "Label".
    """

    title: str
    noun: str
    changes: tuple[Change, ...]

    @property
    def different(self) -> list[Change]:
        """The changes that are not ``unchanged``."""
        return [change for change in self.changes if change.kind != SAME]

    @property
    def same(self) -> list[Change]:
        """The changes whose value is equal on both sides."""
        return [change for change in self.changes if change.kind == SAME]


def of_pairs(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Change, ...]:
    """Return a Change for each key of two mappings, sorted by key; it can be ``unchanged``."""
    names = sorted(before.keys() | after.keys())
    return tuple(Change(name, before.get(name), after.get(name)) for name in names)


def of_sets(name: str, before: Iterable[str], after: Iterable[str]) -> tuple[Change, ...]:
    """Return a Change for each member of two sets, sorted by member.

    Args:
        name: the name of each change, such as "Port".
        before: the members of the first set.
        after: the members of the second set.
    """
    old, new = set(before), set(after)
    return tuple(
        Change(name, item if item in old else None, item if item in new else None)
        for item in sorted(old | new)
    )


@dataclass(frozen=True, slots=True)
class LineRun:
    """Consecutive lines that are all ``added``, all ``removed``, or all ``unchanged``.

    ``folded`` is True for unchanged lines that the page folds because they are far from a change.
    """

    kind: str
    lines: tuple[str, ...]
    folded: bool = False


def of_lines(before: Sequence[str], after: Sequence[str]) -> list[LineRun]:
    """Return the lines of both sequences merged into runs, in the order that ``diff`` uses."""
    runs: list[LineRun] = []
    for kind, old, new in aligned(before, after):
        if kind == SAME:
            runs += _with_context(before[old], at_start=not runs, at_end=old.stop == len(before))
        if kind in {REMOVED, CHANGED}:
            runs.append(LineRun(REMOVED, tuple(before[old])))
        if kind in {ADDED, CHANGED}:
            runs.append(LineRun(ADDED, tuple(after[new])))
    return runs


def aligned(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[str, slice, slice]]:
    """Align two sequences, and yield each equal or different section in order.

    Yields:
        The kind of change, and the slices of ``before`` and of ``after`` that it covers.
    """
    kinds = {"equal": SAME, "insert": ADDED, "delete": REMOVED, "replace": CHANGED}
    # Items are made unique, because duplicates in an untrusted image could make this very slow.
    matcher = SequenceMatcher(None, _numbered(before), _numbered(after), autojunk=False)
    for tag, old, old_end, new, new_end in matcher.get_opcodes():
        yield kinds[tag], slice(old, old_end), slice(new, new_end)


def _numbered(items: Iterable[str]) -> list[tuple[str, int]]:
    """Return each item with the number of equal items before it, which makes the pairs unique."""
    counts: Counter[str] = Counter()
    numbered_items = []
    for item in items:
        numbered_items.append((item, counts[item]))
        counts[item] += 1
    return numbered_items


def _with_context(lines: Sequence[str], *, at_start: bool, at_end: bool) -> Iterator[LineRun]:
    head = 0 if at_start else CONTEXT_LINES
    tail = 0 if at_end else CONTEXT_LINES
    if len(lines) <= head + tail + 1:
        yield LineRun(SAME, tuple(lines))
        return
    if head:
        yield LineRun(SAME, tuple(lines[:head]))
    yield LineRun(SAME, tuple(lines[head : len(lines) - tail]), folded=True)
    if tail:
        yield LineRun(SAME, tuple(lines[len(lines) - tail :]))
