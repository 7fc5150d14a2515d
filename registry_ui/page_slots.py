"""Slots that limit how many page requests a server process handles at a time."""

from __future__ import annotations

import threading

from flask import has_request_context, request

from .errors import SiteBusy

#: Key of the WSGI environment that holds the slot of a page request.
KEY = "registry_ui.page_place"


class PageSlot:
    """A slot that a request holds until its response is sent, except during a password check.

    Args:
        slots: semaphore that all page requests of the process share.
        timeout: maximum time in seconds that reacquire() waits for a free slot.
    """

    def __init__(self, slots: threading.Semaphore, timeout: float) -> None:
        self._slots, self._timeout = slots, timeout
        self._lock = threading.Lock()
        self._is_held = True

    def release(self) -> None:
        """Release the slot, unless it was already released."""
        with self._lock:
            is_held, self._is_held = self._is_held, False
        if is_held:
            self._slots.release()

    def reacquire(self) -> None:
        """Acquire a slot again after release().

        Raises:
            SiteBusy: no slot became free within the timeout.
        """
        if not self._slots.acquire(timeout=self._timeout):
            raise SiteBusy
        with self._lock:
            self._is_held = True


def release_page_slot() -> None:
    """Release the slot of this request, so that other page requests can use it during a wait."""
    if (slot := _page_slot()) is not None:
        slot.release()


def reacquire_page_slot() -> None:
    """Acquire a slot for this request again, so that the page can be rendered.

    Raises:
        SiteBusy: no slot became free in time.
    """
    if (slot := _page_slot()) is not None:
        slot.reacquire()


def _page_slot() -> PageSlot | None:
    return request.environ.get(KEY) if has_request_context() else None
