"""A worker that dies like one: it ends itself, -9, before or after a deletion."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from registry_ui import create_app
from registry_ui.removals import runner


def dying(delete: Callable[..., Any], when: str) -> Callable[..., Any]:
    """Return a deletion that ends this process before or after the registry has done it.

    2.8 refuses the first one, by tag, with an error: the placeholder follows.
    """

    def delete_and_die(repository: Any, reference: Any) -> None:
        if when == "before" and ":" in str(reference):
            os.kill(os.getpid(), signal.SIGKILL)
        delete(repository, reference)
        os.kill(os.getpid(), signal.SIGKILL)

    return delete_and_die


def main(removal_id: int, when: str) -> None:
    app = create_app()
    client = app.extensions["registry"]
    client.delete_manifest = dying(client.delete_manifest, when)
    with app.app_context():
        runner.run(removal_id)
