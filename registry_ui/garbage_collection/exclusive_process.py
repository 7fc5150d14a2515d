"""Run a command that must not run twice at the same time, similar to flock(1).

``python -m registry_ui.garbage_collection.exclusive_process PARENT LOCK COMMAND…``

The file LOCK stays locked as long as any process of the command runs, even if this process is
killed, because the command's processes inherit the file descriptor. The command is terminated when
the process with the id PARENT dies.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

from ..files import try_lock
from ..processes import end_with_parent

#: Exit status if a process of an earlier command still holds the lock (EX_TEMPFAIL).
BUSY = 75
NOT_FOUND = 127


def main() -> int:
    """Run the command given by ``sys.argv``, and return its exit status as a shell would.

    Return BUSY if an earlier command holds the lock, and NOT_FOUND if the command can't be run.
    """
    parent, lock, *command = sys.argv[1:]
    end_with_parent(int(parent))
    descriptor = try_lock(Path(lock))
    if descriptor is None:
        return BUSY
    try:
        child = subprocess.Popen(
            command,
            pass_fds=[descriptor],
            preexec_fn=partial(end_with_parent, os.getpid()),  # noqa: PLW1509 - no thread runs
        )
    except OSError as error:
        print(f"{command[0]} can't be run: {error.strerror}", file=sys.stderr)  # noqa: T201
        return NOT_FOUND
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    code = child.wait()
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main())
