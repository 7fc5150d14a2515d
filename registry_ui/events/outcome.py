"""The outcome of applying one stored event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple


class ManifestReference(NamedTuple):
    """A manifest in a repository."""

    repository: str
    digest: str


@dataclass(frozen=True, slots=True)
class EventOutcome:
    """The outcome of applying one event: what is stored with it, and the work that follows.

    Attributes:
        status: the event's new status.
        reason: the reason for the status; empty if it needs none.
        image_id: ID of the image that the event is about; None if the index has no such image.
        manifest_to_fetch: a manifest that should be fetched, or None.
        needs_reconcile: whether the image was marked to be reconciled with the registry.
    """

    status: Literal["applied", "dropped", "rejected"]
    reason: str = ""
    image_id: int | None = None
    manifest_to_fetch: ManifestReference | None = None
    needs_reconcile: bool = False
