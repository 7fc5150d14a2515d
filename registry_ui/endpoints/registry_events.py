"""The receiver of the registry's notifications."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import RequestEntityTooLarge

from ..db.session import csrf
from ..distribution.notifications import Notification, oversized, parse_envelope
from ..events.service import receive
from ..jobs.queue import enqueue

#: The registry puts its client's headers into an event, a megabyte at most, and writes
#: each ``<`` of them as six bytes.
MAX_BODY = 8 * 1024 * 1024

blueprint = Blueprint("events", __name__)
csrf.exempt(blueprint)


@blueprint.post("/api/v4/registry_events")
def registry_events() -> Response:
    """Store what the registry tells, and answer at once; the worker applies it.

    Everything authentic is answered 2xx, also what can't be used: the registry would
    repeat it for ever, and hold back all that follows (PROTOCOLS 3.3).
    """
    received = receive(
        request.headers.get("Authorization", ""),
        request.remote_addr or "unknown",
        _events,
    )
    enqueue("apply_events")
    if received.lost:
        current_app.logger.warning("an event is larger than allowed; the registry is asked")
    if received.rotated:
        current_app.logger.info("the registry uses the new registry token")
    if received.rotated or received.lost:
        enqueue("reconcile_all")
    return Response(status=202)


def _events() -> list[Notification]:
    request.max_content_length = MAX_BODY
    try:
        return parse_envelope(request.get_data(cache=False))
    except RequestEntityTooLarge:
        # Refused, it would come again for ever; unread, it can't be kept: the registry is asked.
        return [oversized(request.content_length)]
