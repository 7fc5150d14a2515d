"""Words, icons and tones for stored states and kinds. Each function is a filter of the templates.

A tone is a CSS class: ``good``, ``bad``, ``warn``, ``info``, or empty for a neutral badge.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Badge:
    """A short label with a tone and the name of an icon; each of the two can be empty."""

    label: str
    tone: str = ""
    icon: str = ""


# --- places and images ---

_VISIBILITY_ICONS = {"private": "lock", "internal": "users", "public": "globe"}
_KIND_BADGES = {
    "index": Badge("multi-platform", icon="layers"),
    "chart": Badge("chart", icon="ship-wheel"),
    "signature": Badge("signature", icon="signature"),
    "attestation": Badge("attestation", icon="file-check"),
    "artifact": Badge("artifact", icon="puzzle"),
    "build cache": Badge("build cache", icon="box"),
    "schema 1": Badge("Docker schema 1, legacy", icon="history"),
}
_HIT_ICONS = {"namespaces": "folder", "projects": "package", "images": "box", "tags": "tag"}
_PUBLICITY_NOTES = {
    "public": "The new projects are public: anyone can see and pull them, without signing in.",
    "internal": "The new projects are internal: anyone who is signed in can see and pull them.",
}
_MEMBERS_ONLY = "The new projects are private: only their members and administrators can see and"


def place_icon(kind: str) -> str:
    """Return the icon of a project or namespace."""
    return "package" if kind == "project" else "folder"


def hit_icon(kind: str) -> str:
    """Return the icon of search hits of a kind."""
    return _HIT_ICONS[kind]


def visibility_badge(visibility: str) -> Badge:
    """Return the badge of a project's visibility."""
    return Badge(visibility.capitalize(), icon=_VISIBILITY_ICONS.get(visibility, "lock"))


def visibility_sentence(visibility: str) -> str:
    """Return the sentence that says who can see the projects of an adoption."""
    return _PUBLICITY_NOTES.get(visibility, f"{_MEMBERS_ONLY} pull them.")


def kind_badge(kind: str) -> Badge:
    """Return the badge of the kind of a manifest; an unknown kind is shown as it is."""
    return _KIND_BADGES.get(kind, Badge(kind, icon="circle-question-mark"))


def scope_of_reach(kind: str) -> str:
    """Return the images that a deploy token of a project or namespace opens."""
    if kind == "project":
        return "the images of this project"
    return "every project below this namespace"


# --- messages ---

_NOTICE_ICONS = {"good": "circle-check", "bad": "circle-alert", "warn": "triangle-alert"}
_FLASH_TONES = {"success": "good", "error": "bad", "warning": "warn"}
_ERROR_TITLES = {
    400: "That request cannot be used",
    401: "Sign in first",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible here",
    409: "Something is in the way",
    413: "Too large",
    422: "That cannot be used",
    429: "Too many requests",
    502: "The registry did not answer",
    503: "Not ready",
    504: "The registry did not answer",
}


def notice_icon(tone: str) -> str:
    """Return the icon of a notice."""
    return _NOTICE_ICONS.get(tone, "info")


def flash_tone(category: str) -> str:
    """Return the tone of a message that the previous request left."""
    return _FLASH_TONES.get(category, "info")


def error_title(status: int) -> str:
    """Return the heading of the page for an HTTP status."""
    fallback = "Something broke" if status >= 500 else "That did not work"
    return _ERROR_TITLES.get(status, fallback)


# --- activity and audit ---

_SYSTEM_ACTORS = {
    "-/console": "the console",
    "-/worker": "the worker",
    "-/registry": "the registry",
}
_ACTIVITY_ICONS = {"push": "arrow-up", "pull": "arrow-down", "removal": "trash-2"}
_ACTIVITY_KINDS = {
    "push": "Pushes",
    "pull": "Pulls",
    "removal": "Removals",
    "change": "Members and settings",
}
_REMOVAL_VERBS = {
    "done": "removed",
    "failed": "could not remove all of",
    "cancelled": "started to remove",
    "running": "is removing",
    "waiting": "is waiting to remove",
}
_MOMENTS = {
    "pushed": "Pushed",
    "copied": "Copied",
    "restored": "Restored from the trash",
    "removed": "Removed",
}
_EVENT_TONES = {"applied": "good", "rejected": "bad", "pending": "warn"}
_KEY_NOTES = {
    "active": "signs now",
    "next": "is published and waits",
    "previous": "its last tokens still work",
}


def actor_name(name: str) -> str:
    """Return the words for an actor that is not a user; another name is returned as it is."""
    return _SYSTEM_ACTORS.get(name, name) or "somebody"


def activity_icon(kind: str) -> str:
    """Return the icon of an entry of the activity."""
    return _ACTIVITY_ICONS.get(kind, "users")


def activity_kind(kind: str) -> str:
    """Return the words for a kind of activity in the filter."""
    return _ACTIVITY_KINDS[kind]


def removal_verb(state: str) -> str:
    """Return the verb for a removal in the activity."""
    return _REMOVAL_VERBS[state]


def moment_label(action: str) -> str:
    """Return the words for how a tag came to its digest."""
    return _MOMENTS.get(action, "Found by a check")


def event_badge(status: str) -> Badge:
    """Return the badge of the status of a registry event."""
    return Badge(status, _EVENT_TONES.get(status, ""))


def key_note(part: str) -> str:
    """Return what a key of the ring is used for."""
    return _KEY_NOTES.get(part, "")


# --- answers ---


def answer_badge(answer: object, yes: str, no: str) -> Badge:
    """Return the badge of an answer, which counts as yes if it is true."""
    return Badge(yes, "good", "circle-check") if answer else Badge(no, "bad", "circle-alert")


def decision_badge(outcome: str, granted: str) -> Badge:
    """Return the badge of a decision of the token endpoint.

    Args:
        outcome: ``granted``, ``refused``, or ``partly granted``.
        granted: the granted actions, separated by commas.
    """
    if outcome in {"granted", "refused"}:
        return answer_badge(outcome == "granted", outcome, outcome)
    label = f"only {spaced(granted)}" if outcome == "partly granted" else outcome
    return Badge(label, "warn", "circle-alert")


def spaced(actions: str) -> str:
    """Return actions that are separated by commas with a space after each comma."""
    return actions.replace(",", ", ")


FILTERS = (
    place_icon,
    hit_icon,
    visibility_badge,
    visibility_sentence,
    kind_badge,
    scope_of_reach,
    notice_icon,
    flash_tone,
    error_title,
    actor_name,
    activity_icon,
    activity_kind,
    removal_verb,
    moment_label,
    event_badge,
    key_note,
    answer_badge,
    decision_badge,
    spaced,
)
