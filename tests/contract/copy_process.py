"""A worker that dies like one: ``python -m tests.contract.copy_process ID METHOD NUMBER``."""

from __future__ import annotations

import os
import signal
import sys
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


def main() -> None:
    app = create_app()
    client = app.extensions["registry"]
    method = sys.argv[2]
    setattr(client, method, dying(getattr(client, method), int(sys.argv[3])))
    with app.app_context():
        copies.run(int(sys.argv[1]))


if __name__ == "__main__":
    main()
