"""Who did what: written in the transaction of the deed itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from .models import AuditEntry

#: The subject of our own calls to the registry. No user can have it: ``-`` is no
#: component of a path. Its events are recognised by it and never counted.
OWN_SUBJECT = "-/registry_ui"


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever acts: a user's name, or a part of the system; and from which address."""

    name: str
    address: str = ""


# Names that no user can have: ``-`` is no part of a path.
#: Commands on the machine itself.
CONSOLE = Actor("-/console")
#: The worker, on its own account.
WORKER = Actor("-/worker")
#: The registry, by what it sends.
REGISTRY = Actor("-/registry")


def record(session: Session, actor: Actor, action: str, subject: str, **detail: Any) -> AuditEntry:
    """Add an entry to the session and return it; it is stored if and only if the deed is.

    ``detail`` holds no secrets.
    """
    entry = AuditEntry(
        actor=actor.name, address=actor.address, action=action, subject=subject, detail=detail
    )
    session.add(entry)
    return entry
