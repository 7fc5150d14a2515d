"""Places among the requests for pages, of which a server process answers a few at a time."""

from __future__ import annotations

import threading

from flask import has_request_context, request

#: Key of the WSGI environment under which a request for a page has its place.
KEY = "registry_ui.page_place"


class PagePlace:
    """A place that a request holds until its response is sent, unless it gives it back before."""

    def __init__(self, places: threading.Semaphore) -> None:
        self._places = places
        self._lock = threading.Lock()
        self._is_held = True

    def give_back(self) -> None:
        """Give the place back, once."""
        with self._lock:
            is_held, self._is_held = self._is_held, False
        if is_held:
            self._places.release()


def give_back_page_place() -> None:
    """Let another page have the place of this request, because it waits for something else."""
    if has_request_context():
        place: PagePlace | None = request.environ.get(KEY)
        if place is not None:
            place.give_back()
