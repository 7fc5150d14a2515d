"""Verifies passwords for another process, one at a time, at low priority.

Run by its path, with as few imports as possible: it starts in a tenth of a second and needs
no settings. One line of JSON in, one character out; the end of its input ends it.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

#: How far it steps back: on a busy machine a tenth of a processor remains for it.
NICENESS = 10


def main() -> None:
    """Answer until the input ends."""
    with suppress(OSError):
        os.nice(NICENESS)
    hasher = PasswordHasher()
    for line in sys.stdin.buffer:
        password_hash, password = json.loads(line)
        try:
            right: bool = hasher.verify(password_hash, password.encode("utf-8", "surrogatepass"))
        except (VerificationError, InvalidHashError):
            right = False
        sys.stdout.write("1" if right else "0")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
