"""Images whose tags can't be listed: a plan names and skips them."""

from __future__ import annotations

from dataclasses import dataclass

from ..distribution.errors import RegistryError, RegistryFault, RegistryUnavailable
from ..registry_connection import is_answering
from .deletion_method import translate
from .plan import RemovalPlan

NOT_LISTED = "The tags of {} can't be listed ({}), so nothing of it is removed."
#: Maximum number of images in a plan whose tag lists can time out. Each one costs a timeout, and a
#: registry whose storage hangs can list none.
MAX_UNANSWERED = 3


@dataclass(slots=True)
class UnreadImages:
    """Collects the images of a plan that can't be read, and stops the plan if none can be."""

    plan: RemovalPlan
    unanswered_count: int = 0

    def add(self, path: str, error: RegistryError) -> None:
        """Name an image that the plan skips.

        Raises:
            RegistryUnreachable: the registry does not answer for the other images either.
        """
        if not isinstance(error, RegistryFault):
            self.unanswered_count += 1
            is_alone = (
                isinstance(error, RegistryUnavailable) and self.unanswered_count <= MAX_UNANSWERED
            )
            if not (is_alone and is_answering()):
                raise translate(error) from None
        self.plan.unread.append(path)
        self.plan.notes.append(NOT_LISTED.format(path, error))
