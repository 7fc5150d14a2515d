"""Images of a plan whose tags can't be listed: each is named, and the others go on."""

from __future__ import annotations

from dataclasses import dataclass

from ..distribution.errors import RegistryError, RegistryFault, RegistryUnavailable
from ..registry_connection import is_answering
from .deletion_method import translate
from .plan import RemovalPlan

NOT_LISTED = "The tags of {} can't be listed ({}), so nothing of it is removed."
#: Maximum number of images in a plan for which the registry may be silent: each costs a timeout,
#: and of a storage that hangs the registry can list none.
MAX_SILENT = 3


@dataclass(slots=True)
class UnreadImages:
    """Names the images of one plan that can't be read, until it is clear that none can."""

    plan: RemovalPlan
    silent: int = 0

    def add(self, path: str, error: RegistryError) -> None:
        """Name an image that is left out of the plan.

        Raises:
            RegistryTrouble: the registry can't be asked about the others either.
        """
        if not isinstance(error, RegistryFault):
            self.silent += 1
            is_alone = isinstance(error, RegistryUnavailable) and self.silent <= MAX_SILENT
            if not (is_alone and is_answering()):
                raise translate(error) from None
        self.plan.unread.append(path)
        self.plan.notes.append(NOT_LISTED.format(path, error))
