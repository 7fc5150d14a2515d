"""Whether the index has the tags that the registry lists: one call, and work meanwhile."""

from __future__ import annotations

from concurrent.futures import Future
from datetime import datetime
from functools import partial

from ..catalog.live_tags import LiveTags
from ..catalog.pull_through import is_cache
from ..catalog.reconcile import apply_tag_list, without_trash
from ..db.session import end_read, writing
from ..distribution.client import TagNames
from ..distribution.errors import RegistryError, RegistryNotFound
from ..models import ContainerImage, utc_now
from ..names import RepositoryName
from ..page_call_budget import counted
from ..registry_connection import list_threads, registry


class LiveTagList:
    """The registry's list of an image's tags, asked for when this is made; never of a cache.

    After settle(), ``problem`` and ``error`` say why there is none, ``fresh_at`` when the
    registry last answered, and ``unusable`` which names it listed that can't be tags.
    """

    def __init__(self, image: ContainerImage) -> None:
        cached = is_cache()
        end_read()
        self.problem: RegistryError | None = None
        self.fresh_at: datetime | None = utc_now()
        self.unusable: tuple[str, ...] = ()
        self._image, self._started = image, utc_now()
        self._answer: Future[TagNames] | None = None
        if cached:
            self.fresh_at = image.reconciled_at
        else:
            listed = partial(registry().tags, RepositoryName(image.path))
            self._answer = list_threads().submit(counted(listed))

    @property
    def error(self) -> str | None:
        """The problem in words."""
        return None if self.problem is None else str(self.problem)

    def settle(self, names: list[str]) -> bool:
        """Wait for the list; mend the index where it says otherwise; return whether it did.

        Args:
            names: the tags that the index has of the image.
        """
        end_read()
        if self._answer is None:
            return False
        try:
            answer = self._answer.result()
            self.unusable, listed = answer.unusable, without_trash(answer)
        except RegistryNotFound:
            listed = []
        except RegistryError as error:
            self.problem, self.fresh_at = error, self._image.reconciled_at
            return False
        # Both mostly come in the order of bytes, and then that is all there is to do.
        if names == listed or set(names) == set(listed):
            return False
        with writing() as session:
            current = session.get(ContainerImage, self._image.id)
            if current is not None:
                apply_tag_list(session, current, listed, LiveTags(), self._started)
        return True
