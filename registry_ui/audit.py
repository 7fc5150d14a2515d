"""Audit log. An entry is written in the same transaction as the change it describes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from .models import AuditEntry

#: Subject of the tokens for this application's own calls to the registry. No user can have that
#: name, because ``-`` is not a valid path component. Events with this subject are never counted.
OWN_SUBJECT = "-/registry_ui"


@dataclass(frozen=True, slots=True)
class Actor:
    """The user or system component that makes a change, and the client's IP address."""

    name: str
    address: str = ""


# No user can have these names, because ``-`` is not a valid path component.
#: A command that is run on the server itself.
CONSOLE = Actor("-/console")
#: The background worker, for changes that no user asked for.
WORKER = Actor("-/worker")
#: The registry, for changes that its notifications report.
REGISTRY = Actor("-/registry")


def is_internal(name: str) -> bool:
    """Return whether an actor's name belongs to a system component, not to a user."""
    return name.startswith("-/")


def record(session: Session, actor: Actor, action: str, subject: str, **detail: Any) -> AuditEntry:
    """Add an audit entry to the session and return it. It is stored when the caller commits.

    Args:
        detail: further facts about the change; must not contain secrets.
    """
    entry = AuditEntry(
        actor=actor.name, address=actor.address, action=action, subject=subject, detail=detail
    )
    session.add(entry)
    return entry
