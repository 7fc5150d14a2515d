"""What was added, removed and changed between two lists or mappings. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

ADDED, REMOVED, CHANGED, SAME = "added", "removed", "changed", "unchanged"
#: Unchanged lines that are shown around a change; the rest of a longer run is folded.
CONTEXT = 2


@dataclass(frozen=True, slots=True)
class Change:
    """One thing before and after; None where it was not, or is not."""

    name: str
    before: str | None
    after: str | None

    @property
    def what(self) -> str:
        """``added``, ``removed``, ``changed`` or ``unchanged``."""
        if self.before == self.after:
            return SAME
        if self.before is None:
            return ADDED
        return REMOVED if self.after is None else CHANGED


@dataclass(frozen=True, slots=True)
class Group:
    """The changes of one kind of setting. ``noun`` says what each of them is."""

    title: str
    noun: str
    changes: tuple[Change, ...]

    @property
    def different(self) -> list[Change]:
        """What was added, removed or changed."""
        return [change for change in self.changes if change.what != SAME]

    @property
    def same(self) -> list[Change]:
        """What both have alike."""
        return [change for change in self.changes if change.what == SAME]


def of_pairs(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Change, ...]:
    """Return a change for every key of either, by key."""
    names = sorted(before.keys() | after.keys())
    return tuple(Change(name, before.get(name), after.get(name)) for name in names)


def of_sets(name: str, before: Iterable[str], after: Iterable[str]) -> tuple[Change, ...]:
    """Return a change for every member of either, each under the same name."""
    old, new = set(before), set(after)
    return tuple(
        Change(name, item if item in old else None, item if item in new else None)
        for item in sorted(old | new)
    )


@dataclass(frozen=True, slots=True)
class LineRun:
    """Lines that follow each other and are all ``added``, ``removed`` or ``unchanged``.

    ``folded`` where they are so far from any change that nobody looks for them.
    """

    what: str
    lines: tuple[str, ...]
    folded: bool = False


def of_lines(before: Sequence[str], after: Sequence[str]) -> list[LineRun]:
    """Return the lines of both in one order, as ``diff`` shows them."""
    runs: list[LineRun] = []
    for what, old, new in aligned(before, after):
        if what == SAME:
            runs += _with_context(before[old], at_start=not runs, at_end=old.stop == len(before))
        if what in {REMOVED, CHANGED}:
            runs.append(LineRun(REMOVED, tuple(before[old])))
        if what in {ADDED, CHANGED}:
            runs.append(LineRun(ADDED, tuple(after[new])))
    return runs


def aligned(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[str, slice, slice]]:
    """Yield what happened to which slice of one sequence and which of the other, in order."""
    words = {"equal": SAME, "insert": ADDED, "delete": REMOVED, "replace": CHANGED}
    # With no item twice the work is bounded, whatever somebody wrote into their image.
    matcher = SequenceMatcher(None, _numbered(before), _numbered(after), autojunk=False)
    for tag, old, old_end, new, new_end in matcher.get_opcodes():
        yield words[tag], slice(old, old_end), slice(new, new_end)


def _numbered(items: Iterable[str]) -> list[tuple[str, int]]:
    """Give each item its number among those that are equal to it."""
    seen: Counter[str] = Counter()
    found = []
    for item in items:
        found.append((item, seen[item]))
        seen[item] += 1
    return found


def _with_context(lines: Sequence[str], *, at_start: bool, at_end: bool) -> Iterator[LineRun]:
    head = 0 if at_start else CONTEXT
    tail = 0 if at_end else CONTEXT
    if len(lines) <= head + tail + 1:
        yield LineRun(SAME, tuple(lines))
        return
    if head:
        yield LineRun(SAME, tuple(lines[:head]))
    yield LineRun(SAME, tuple(lines[head : len(lines) - tail]), folded=True)
    if tail:
        yield LineRun(SAME, tuple(lines[len(lines) - tail :]))
