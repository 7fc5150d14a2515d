"""Program that verifies passwords for another process, one at a time, at low priority.

The program is run by its file path and imports as little as possible, so that it starts in a
tenth of a second and needs no settings. Each line of input is a JSON list of a hash and a
password; the answer is one character, ``1`` or ``0``. The program ends when its standard input is
closed.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

#: Increment of the nice value. On a busy machine, this leaves the program a tenth of a CPU.
NICENESS = 10


def main() -> None:
    """Verify the passwords read from standard input until it ends."""
    with suppress(OSError):
        os.nice(NICENESS)
    hasher = PasswordHasher()
    for line in sys.stdin.buffer:
        password_hash, password = json.loads(line)
        try:
            is_match: bool = hasher.verify(password_hash, password.encode("utf-8", "surrogatepass"))
        except (VerificationError, InvalidHashError):
            is_match = False
        sys.stdout.write("1" if is_match else "0")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
