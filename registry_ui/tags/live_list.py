"""Compare an image's tags in the index with the registry's list, which is read concurrently."""

from __future__ import annotations

from concurrent.futures import Future
from datetime import datetime
from functools import partial

from ..catalog.images import lock_image
from ..catalog.live_tags import LiveTags
from ..catalog.pull_through import is_cache
from ..catalog.reconcile import without_trash
from ..catalog.tag_list_update import TagListing, apply_tag_list
from ..db.session import end_read, writing
from ..distribution.errors import RegistryError, RegistryNotFound
from ..distribution.tag_list import TagNames
from ..models import ContainerImage, utc_now
from ..names import RepositoryName
from ..page_call_budget import count_against_budget
from ..registry_connection import list_threads, registry


class LiveTagList:
    """The registry's list of an image's tags, requested in a thread when this is constructed.

    A pull-through cache is not asked. The attributes are valid after settle().

    Attributes:
        problem: the error if the list can't be read, or None.
        fresh_at: when the registry last answered.
        unusable: listed names that are not valid tags.
    """

    def __init__(self, image: ContainerImage) -> None:
        is_cached = is_cache()
        end_read()
        self.problem: RegistryError | None = None
        self.fresh_at: datetime | None = utc_now()
        self.unusable: tuple[str, ...] = ()
        self._image, self._started_at = image, utc_now()
        self._answer: Future[TagNames] | None = None
        if is_cached:
            self.fresh_at = image.reconciled_at
        else:
            call = partial(registry().tags, RepositoryName(image.path))
            self._answer = list_threads().submit(count_against_budget(call))

    @property
    def error(self) -> str | None:
        """The error message if the list can't be read, or None."""
        return None if self.problem is None else str(self.problem)

    def settle(self, indexed_names: list[str]) -> bool:
        """Wait for the list, and correct the index if it differs.

        Args:
            indexed_names: the image's tags in the index.

        Returns:
            Whether the index had to be corrected.
        """
        end_read()
        if self._answer is None:
            return False
        try:
            answer = self._answer.result()
            self.unusable, listed_names = answer.unusable, without_trash(answer)
        except RegistryNotFound:
            listed_names = []
        except RegistryError as error:
            self.problem, self.fresh_at = error, self._image.reconciled_at
            return False
        # Both lists are usually in byte order, so comparing them as lists is the fast path.
        if indexed_names == listed_names or set(indexed_names) == set(listed_names):
            return False
        with writing() as session:
            current = lock_image(session, self._image.id)
            if current is not None:
                listing = TagListing(listed_names, LiveTags(), self._started_at)
                apply_tag_list(session, current, listing)
        return True
