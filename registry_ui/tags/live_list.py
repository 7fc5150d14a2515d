"""Comparison of an image's tags in the database with the registry's list of tags.

The list is read in a background thread, so that a page can query the database at the same time.
"""

from __future__ import annotations

from concurrent.futures import Future
from datetime import datetime
from functools import partial

from ..catalog.images import lock_image
from ..catalog.live_tags import LiveTags
from ..catalog.pull_through import is_cache
from ..catalog.tag_list_update import TagListing, apply_tag_list
from ..db.session import end_read, writing
from ..distribution.errors import RegistryError, RegistryNotFound
from ..distribution.tag_list import TagNames
from ..models import ContainerImage, utc_now
from ..names import RepositoryName, without_trash
from ..page_call_budget import count_against_budget
from ..registry_connection import list_threads, registry


class LiveTagList:
    """The registry's list of an image's tags.

    Constructing an instance starts the request in a background thread, unless the registry is a
    pull-through cache, which is not asked. The attributes are valid after settle() was called.

    Attributes:
        problem: the registry's error if the list can't be read, or None.
        fresh_at: when the registry last returned the list; None if it never did.
        unusable: listed names that are not valid tags.

    Args:
        image: the image.
    """

    def __init__(self, image: ContainerImage) -> None:
        is_cached = is_cache()
        end_read()
        self.problem: RegistryError | None = None
        self.fresh_at: datetime | None = utc_now()
        self.unusable: tuple[str, ...] = ()
        self._image, self._started_at = image, utc_now()
        self._request = image.reconcile_requested_at
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
        """Wait for the registry's list, and correct the database if the list differs.

        A registry error is not raised, but stored in ``problem``.

        Args:
            indexed_names: the names of the image's tags in the database.

        Returns:
            Whether the list differed.
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
        # Both lists are usually in byte order. Comparing lists is faster than comparing sets.
        if indexed_names == listed_names or set(indexed_names) == set(listed_names):
            return False
        with writing() as session:
            current = lock_image(session, self._image.id)
            if current is not None:
                listing = TagListing(listed_names, LiveTags(), self._started_at, self._request)
                apply_tag_list(session, current, listing)
        return True
