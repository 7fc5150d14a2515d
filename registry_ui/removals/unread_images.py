"""Images that a removal plan skips and names, because their tags can't be listed."""

from __future__ import annotations

from dataclasses import dataclass

from ..distribution.errors import RegistryError, RegistryFault, RegistryUnavailable
from ..registry_connection import is_answering
from ..tags.image_tags import ImageTags, all_tags
from .deletion_method import translate
from .plan import RemovalPlan

NOT_LISTED = "The tags of {} can't be listed ({}), so nothing of it is removed."
#: Maximum number of images that a plan skips because the registry gave no answer for them. Each one
#: can cost a timeout, and a registry whose storage hangs answers for none.
MAX_UNANSWERED = 3


@dataclass(slots=True)
class UnreadImages:
    """The images that a removal plan skips, because their tags can't be listed.

    Attributes:
        plan: the plan that names the skipped images.
        unanswered_count: number of images for which the registry gave no answer.
    """

    plan: RemovalPlan
    unanswered_count: int = 0

    def read_tags(self, path: str) -> ImageTags | None:
        """Return all tags of an image; None if they can't be listed, and the plan skips the image.

        Raises:
            RegistryUnreachable: the error affects more than this image, see add().
        """
        try:
            return all_tags(path)
        except RegistryError as error:
            self.add(path, error)
            return None

    def add(self, path: str, error: RegistryError) -> None:
        """Add a skipped image to the plan, unless the error affects more than this image.

        Raises:
            RegistryUnreachable: the registry does not answer other requests either, or too many
                images were skipped.
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
