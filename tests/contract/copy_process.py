"""A worker that dies like one: it ends itself, -9, behind a call to the registry."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from registry_ui import create_app
from registry_ui.copies import service as copies


def dying(call: Callable[..., Any], number: int) -> Callable[..., Any]:
    """Return a call that ends this process when it has been made so often."""
    left = [number]

    def call_and_die(*what: Any) -> Any:
        answer = call(*what)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    return call_and_die


def main(copy_id: int, method: str, number: int) -> None:
    app = create_app()
    client = app.extensions["registry"]
    setattr(client, method, dying(getattr(client, method), number))
    with app.app_context():
        copies.run(copy_id)
