"""Words, icons, and tones that pages show for stored states and kinds.

Each function is a filter of the templates. A tone is a CSS class for a color: ``good``, ``bad``,
``warn``, ``info``, or empty for neutral. An icon is given by its name.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Badge:
    """A short label with a tone (CSS class) and the name of an icon; either can be empty."""

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
    """Return the name of the icon for a ``project`` or ``namespace``."""
    return "package" if kind == "project" else "folder"


def hit_icon(kind: str) -> str:
    """Return the name of the icon for one kind of search hits, such as ``images``."""
    return _HIT_ICONS[kind]


def visibility_badge(visibility: str) -> Badge:
    """Return the badge for the visibility of a project, such as ``private``."""
    return Badge(visibility.capitalize(), icon=_VISIBILITY_ICONS.get(visibility, "lock"))


def visibility_sentence(visibility: str) -> str:
    """Return a sentence that says who can see new projects with this visibility."""
    return _PUBLICITY_NOTES.get(visibility, f"{_MEMBERS_ONLY} pull them.")


def kind_badge(kind: str) -> Badge:
    """Return the badge for a kind of manifest, such as ``index``; an unknown kind is the label."""
    return _KIND_BADGES.get(kind, Badge(kind, icon="circle-question-mark"))


def deploy_token_images(kind: str) -> str:
    """Return the words for the images that a deploy token of a project or namespace can access."""
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
    """Return the name of the icon for a notice with this tone."""
    return _NOTICE_ICONS.get(tone, "info")


def flash_tone(category: str) -> str:
    """Return the tone for a flashed message, given its Flask category such as ``success``."""
    return _FLASH_TONES.get(category, "info")


def error_title(status: int) -> str:
    """Return the heading of the error page for an HTTP status code."""
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
    """Return the name to show for an actor: words for a system actor, otherwise the user name."""
    return _SYSTEM_ACTORS.get(name, name) or "somebody"


def activity_icon(kind: str) -> str:
    """Return the name of the icon for a kind of activity entry, such as ``push``."""
    return _ACTIVITY_ICONS.get(kind, "users")


def activity_kind(kind: str) -> str:
    """Return the filter label for a kind of activity entry, such as ``Pushes``."""
    return _ACTIVITY_KINDS[kind]


def removal_verb(state: str) -> str:
    """Return the verb for a removal in this state in an activity list, such as ``removed``."""
    return _REMOVAL_VERBS[state]


def moment_label(action: str) -> str:
    """Return the words for an action in a tag's history, such as ``pushed`` or ``copied``."""
    return _MOMENTS.get(action, "Found by a check")


def event_badge(status: str) -> Badge:
    """Return the badge for the status of a registry event, such as ``applied``."""
    return Badge(status, _EVENT_TONES.get(status, ""))


def key_note(part: str) -> str:
    """Return what a token-signing key is used for, given its part: active, next, or previous."""
    return _KEY_NOTES.get(part, "")


# --- answers ---


def answer_badge(answer: object, yes: str, no: str) -> Badge:
    """Return a badge with the text ``yes`` if ``answer`` is true, otherwise with ``no``."""
    return Badge(yes, "good", "circle-check") if answer else Badge(no, "bad", "circle-alert")


def decision_badge(outcome: str, granted: str) -> Badge:
    """Return the badge of a token decision (a recorded answer of the token endpoint).

    Args:
        outcome: ``granted``, ``refused``, or ``partly granted``.
        granted: the granted actions, separated by commas.
    """
    if outcome in {"granted", "refused"}:
        return answer_badge(outcome == "granted", outcome, outcome)
    label = f"only {spaced(granted)}" if outcome == "partly granted" else outcome
    return Badge(label, "warn", "circle-alert")


def spaced(actions: str) -> str:
    """Return a comma-separated list of actions with a space after each comma."""
    return actions.replace(",", ", ")


FILTERS = (
    place_icon,
    hit_icon,
    visibility_badge,
    visibility_sentence,
    kind_badge,
    deploy_token_images,
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
