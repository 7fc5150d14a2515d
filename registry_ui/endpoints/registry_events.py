"""Endpoint that receives the registry's notifications (webhook)."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import RequestEntityTooLarge

from ..db.session import csrf
from ..distribution.notifications import Notification, oversized, parse_envelope
from ..events.service import receive
from ..jobs.queue import enqueue

#: Maximum size in bytes of a notification request. The registry copies headers of its client into
#: an event, up to a megabyte, and encodes each ``<`` in these headers as six bytes.
MAX_BODY = 8 * 1024 * 1024

blueprint = Blueprint("events", __name__)
csrf.exempt(blueprint)


@blueprint.post("/api/v4/registry_events")
def registry_events() -> Response:
    """Store the events that the registry sends, and respond at once; the worker applies them.

    Every authentic notification gets a 2xx response, even if it can't be used. Otherwise the
    registry would retry it forever, and hold back all later events (PROTOCOLS 3.3).

    Raises:
        Unauthorized: the registry token is missing or wrong.
    """
    received = receive(
        request.headers.get("Authorization", ""),
        request.remote_addr or "unknown",
        _read_events,
    )
    enqueue("apply_events")
    if received.is_oversized:
        current_app.logger.warning("an event is larger than allowed; the registry is asked")
    if received.rotated:
        current_app.logger.info("the registry uses the new registry token")
    if received.rotated or received.is_oversized:
        enqueue("reconcile_all")
    return Response(status=202)


def _read_events() -> list[Notification]:
    request.max_content_length = MAX_BODY
    try:
        return parse_envelope(request.get_data(cache=False))
    except RequestEntityTooLarge:
        # The registry would retry a rejected event forever, and this one is too large to read.
        # Store a marker instead, which makes the worker reconcile the database with the registry.
        return [oversized(request.content_length)]
