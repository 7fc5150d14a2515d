"""Places among the requests for pages, of which a server process answers a few at a time."""

from __future__ import annotations

import threading

from flask import has_request_context, request

from .errors import SiteBusy

#: Key of the WSGI environment under which a request for a page has its place.
KEY = "registry_ui.page_place"


class PageSlot:
    """A place that a request holds until its response is sent, except while it waits.

    Args:
        places: of all requests.
        patience: seconds for which a request waits to take its place again.
    """

    def __init__(self, places: threading.Semaphore, patience: float) -> None:
        self._places, self._patience = places, patience
        self._lock = threading.Lock()
        self._is_held = True

    def give_back(self) -> None:
        """Give the place back, once."""
        with self._lock:
            is_held, self._is_held = self._is_held, False
        if is_held:
            self._places.release()

    def take_again(self) -> None:
        """Take a place again after a wait.

        Raises:
            SiteBusy: none is free in time.
        """
        if not self._places.acquire(timeout=self._patience):
            raise SiteBusy
        with self._lock:
            self._is_held = True


def release_page_slot() -> None:
    """Let another page have the place of this request, because it waits for something else."""
    if (place := _page_slot()) is not None:
        place.give_back()


def reacquire_page_slot() -> None:
    """Take a place again, because the wait is over and the page itself is still to be made.

    Raises:
        SiteBusy: none is free in time.
    """
    if (place := _page_slot()) is not None:
        place.take_again()


def _page_slot() -> PageSlot | None:
    return request.environ.get(KEY) if has_request_context() else None
