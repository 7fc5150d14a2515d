"""Words for operations of the worker: removals, copies, moves, and garbage collections.

Each public function is a filter or a global function of the templates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..formatting import clock_time, outcome_label, pluralize, size
from ..models import Copy, GarbageCollection, Removal
from .labels import Badge

_LEAVE = "You can leave this page and come back."
_WAITING = f"Waiting for the worker. {_LEAVE}"


@dataclass(frozen=True, slots=True)
class Notice:
    """A message about the state of an operation; ``tone`` is a CSS class, such as ``warn``."""

    tone: str
    text: str


# --- reports ---

_OUTCOME_TONES = {
    "deleted": "good",
    "gone already": "good",
    "in the bin": "good",
    "copied": "good",
    "there already": "good",
    "kept": "warn",
    "cancelled": "warn",
    "refused": "bad",
    "failed": "bad",
}


def outcome_badge(outcome: str | None) -> Badge:
    """Return the badge for the outcome of a removal step or copy step; a dash if it has not run."""
    return Badge(outcome_label(outcome), _OUTCOME_TONES.get(outcome or "", ""))


# --- removals ---

_REMOVAL_TITLES = {
    "planned": "Plan to delete",
    "waiting": "Waiting to delete",
    "running": "Deleting",
    "done": "Deleted",
    "failed": "Not all deleted:",
    "cancelled": "Canceled:",
}
_REMOVAL_SUBJECTS = {"retention": "by a retention policy of", "bin": "from the trash:"}
_REMOVAL_NOTICES = {
    "done": Notice("good", "Done: the registry confirmed every step."),
    "failed": Notice(
        "bad",
        "Not everything was deleted. What the registry did not confirm is still there and still"
        " listed.",
    ),
}
#: Kinds of removal that are also the noun for the target; the target of other kinds is a tag.
_REMOVAL_NOUNS = {"image", "project", "namespace"}


def is_dry_run(removal: Removal) -> bool:
    """Return whether a removal is the dry run (an unconfirmed plan) of a retention policy."""
    return removal.state == "planned" and removal.kind == "retention"


def removal_title(removal: Removal) -> str:
    """Return the first words of a removal's page title, which ends with the target."""
    if is_dry_run(removal):
        return "Dry run of retention in"
    return _REMOVAL_TITLES.get(removal.state, "Deleting")


def removal_heading(removal: Removal) -> str:
    """Return the first words of a removal's page heading, which ends with the target."""
    subject = _REMOVAL_SUBJECTS.get(removal.kind, f"of {removal.kind}")
    return f"{'Dry run' if is_dry_run(removal) else 'Removal'} {subject}"


def removal_noun(kind: str) -> str:
    """Return the noun for the target of a removal of this kind, such as ``tag`` or ``image``."""
    return kind if kind in _REMOVAL_NOUNS else "tag"


def removal_notice(removal: Removal, waits_until: str, *, has_report: bool) -> Notice:
    """Return the message about the state of a removal for its page.

    Args:
        removal: the removal.
        waits_until: the event that the removal waits for, in words; empty if it does not wait.
        has_report: whether any step of the removal has an outcome.
    """
    if is_dry_run(removal):
        return Notice(
            "info",
            "This is a dry run: nothing is deleted. It shows what the policy would delete now.",
        )
    if removal.state == "planned":
        return Notice(
            "info",
            "Nothing has happened yet. This is the plan; each tag is looked at again before it"
            " goes.",
        )
    if removal.state == "cancelled" and not has_report:
        return Notice("info", "The plan was discarded. Nothing was deleted.")
    if removal.state == "cancelled":
        return Notice(
            "warn",
            "Canceled. Tags that were already deleted stay deleted; the rest was not touched.",
        )
    return _REMOVAL_NOTICES.get(removal.state) or _active_notice(removal, waits_until)


def _active_notice(work: Removal | Copy, waits_until: str) -> Notice:
    """Return the message about a removal or copy that is waiting or running.

    Args:
        work: the removal or copy.
        waits_until: the event that the operation waits for, in words; empty if it does not wait.
    """
    if work.cancel_wanted:
        return Notice("info", "Stopping after the present step.")
    if waits_until:
        return Notice("info", f"Waits until {waits_until}, and goes on by itself then. {_LEAVE}")
    if work.problem:
        return Notice("warn", f"{work.problem} {_LEAVE}")
    return Notice("info", _WAITING if work.state == "waiting" else f"Running. {_LEAVE}")


# --- copies ---

_COPY_TITLES = {
    "planned": "Plan to copy to",
    "waiting": "Waiting to copy to",
    "running": "Copying to",
    "done": "Copied to",
    "failed": "Not all copied to",
    "cancelled": "Canceled: copy to",
}
_PLANNED_TAGS = {
    "new": Badge("new", "good"),
    "same": Badge("there already"),
    "overwrites": Badge("would be overwritten", "warn"),
    "refused": Badge("refused", "bad"),
}
_COPY_NOTICES = {
    "planned": Notice(
        "info",
        "Nothing has happened yet. This is the plan; each tag is looked at again, here and there,"
        " before it is copied.",
    ),
    "done": Notice("good", "Done: the registry confirmed every digest."),
    "failed": Notice(
        "bad",
        "Not everything was copied: the report says why. What is there already is only looked at"
        " when you copy again.",
    ),
    "cancelled": Notice(
        "warn", "Canceled. What was copied before stays; the rest was not touched."
    ),
}


def copy_title(state: str) -> str:
    """Return the first words of a copy's page title, which ends with the target."""
    return _COPY_TITLES.get(state, "Copy to")


def planned_tag_badge(state: str) -> Badge:
    """Return the badge of a tag in the plan of a copy, by the state of the tag at the target."""
    return _PLANNED_TAGS[state]


def copy_notice(copy: Copy, waits_until: str, outcomes: Mapping[str, int]) -> Notice:
    """Return the message about the state of a copy for its page.

    Args:
        copy: the copy.
        waits_until: the event that the copy waits for, in words; empty if it does not wait.
        outcomes: number of steps by outcome, such as ``kept``.
    """
    if copy.state == "done" and outcomes.get("kept"):
        return Notice("warn", "Done, but some tags were left as they are: the report says why.")
    return _COPY_NOTICES.get(copy.state) or _active_notice(copy, waits_until)


# --- moves ---

_MOVE_TITLES = {
    "planned": "Plan to move",
    "grace": "Moved",
    "retiring": "Moved",
    "done": "Moved",
    "failed": "Stopped moving",
    "cancelled": "Did not move",
    "undoing": "Not moving",
}
_MOVE_PHASES = {
    "copying": "Copy, while people push and pull",
    "fenced": "Wait for the last tokens: nobody can push",
    "settling": "Copy what was pushed meanwhile",
    "verifying": "Compare every tag, and switch",
    "grace": "Old path can still be pulled",
    "retiring": "Old images go",
}
_MOVE_HINTS = {
    "image": "The whole name: its project, and what follows. Another project is fine, where you may"
    " push.",
    "project": "The whole path. The namespace must exist, and you must be allowed to create"
    " projects in it.",
    "namespace": "The whole path. One at the top has no slash.",
}
_MOVED_REPOSITORIES = {
    "planned": Badge("waiting"),
    "settled": Badge("up to date"),
    "undone": Badge("taken back"),
    "verified": Badge("verified", "good"),
    "retired": Badge("old path gone", "good"),
    "kept": Badge("kept", "warn"),
}


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of a move, as a page shows it relative to the current phase."""

    label: str
    icon: str
    is_done: bool
    is_current: bool


def move_hint(kind: str) -> str:
    """Return the hint for the form field with the new path of an image, project, or namespace."""
    return _MOVE_HINTS[kind]


def move_title(state: str) -> str:
    """Return the first words of a move's page title, which ends with the old path."""
    return _MOVE_TITLES.get(state, "Moving")


def move_phases(state: str) -> list[Phase]:
    """Return all phases of a move in this state; empty if the state is not a phase of moves."""
    states = list(_MOVE_PHASES)
    if state not in states:
        return []
    current = states.index(state)
    return [
        Phase(
            label,
            "check" if index < current else "chevron-right" if index == current else "clock",
            is_done=index < current,
            is_current=index == current,
        )
        for index, label in enumerate(_MOVE_PHASES.values())
    ]


def moved_repository_badge(state: str) -> Badge:
    """Return the badge for the state of one repository in a move; an unknown state is the label."""
    return _MOVED_REPOSITORIES.get(state, Badge(state))


# --- garbage collections ---

_COLLECTION_BADGES = {
    "draining": Badge("writes stopped"),
    "running": Badge("collecting"),
    "done": Badge("done", "good"),
    "failed": Badge("failed", "bad"),
    "cancelled": Badge("canceled", "warn"),
}
_WRITES_RESUME = " Pushes and deletions work again."


def collection_badge(state: str) -> Badge:
    """Return the badge for the state of a garbage collection; an unknown state is the label."""
    return _COLLECTION_BADGES.get(state, Badge(state))


def collection_outcome(row: GarbageCollection) -> str:
    """Return how much a garbage collection freed, in words; "" until the collector reports it."""
    if row.blobs is None:
        return ""
    text = pluralize(row.blobs, "blob") if row.blobs else "Nothing"
    if row.freed:
        text += f", {'at least ' if row.unmeasured else ''}{size(row.freed)}"
    verb = "would be freed" if row.dry_run else "freed" if row.state == "done" else "found"
    if not row.unmeasured:
        return f"{text} {verb}"
    if row.unmeasured != row.blobs:
        return f"{text} {verb}. The size of {row.unmeasured:,} is unknown"
    return f"{text} {verb}. {'Its' if row.blobs == 1 else 'Their'} size is unknown"


def collection_notice(row: GarbageCollection) -> Notice:
    """Return the message about the state of a garbage collection for its page."""
    resumed = "" if row.dry_run else _WRITES_RESUME
    if row.state == "done":
        return Notice("good", f"{collection_outcome(row)}.")
    if row.state == "failed":
        return Notice("bad", f"{row.problem}{resumed}")
    if row.state == "cancelled":
        is_partial = row.collector_started_at and not row.dry_run
        loss = " What was collected before is gone." if is_partial else ""
        return Notice("warn", f"Canceled.{resumed}{loss}")
    return Notice("info", _describe_active_collection(row))


def _describe_active_collection(row: GarbageCollection) -> str:
    if row.cancel_wanted:
        return "The collector is being stopped. Pushes and deletions work again once it has."
    if row.state == "draining" and row.quiet_at:
        return (
            "Pushes and deletions are stopped. The collector begins when the last tokens have"
            f" ended, at about {clock_time(row.quiet_at)}, and removals under way have let go."
        )
    return _WAITING if row.state == "waiting" else f"The collector runs. {_LEAVE}"


FILTERS = (
    outcome_badge,
    removal_title,
    removal_heading,
    removal_noun,
    copy_title,
    planned_tag_badge,
    move_hint,
    move_title,
    move_phases,
    moved_repository_badge,
    collection_badge,
    collection_outcome,
)
HELPERS = (is_dry_run, removal_notice, copy_notice, collection_notice)
