"""``make migration M="add a column"``: generate a database migration from the models."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from flask_migrate import migrate, upgrade

from config import PREFIX, Config
from registry_ui import create_app

from .keys import ensure_secret_key, ensure_signing_key

VERSIONS = Path("migrations/versions")


def main(message: str) -> int:
    """Write a new migration with the changes to the models since the last migration.

    Args:
        message: a description of the change, for the migration's docstring and file name.

    Returns:
        The exit status.
    """
    if not message.strip():
        print('Say what it does: make migration M="add a column for ..."', file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as var:
        ensure_secret_key(Path(var) / "secret_key")
        config = Config.from_environ({PREFIX + "VAR": var})
        ensure_signing_key(config.token_key_file, config.token_certificate_file)
        app = create_app(config)
        with app.app_context():
            directory = app.extensions["migrate"].directory
            upgrade(directory=directory)
            migrate(directory=directory, message=message, rev_id=_next_revision())
    print("Read it, and try it up and down with rows, on SQLite and PostgreSQL.")
    return 0


def _next_revision() -> str:
    """Return the next migration number, with four digits."""
    numbers = [int(file.name[:4]) for file in VERSIONS.glob("[0-9][0-9][0-9][0-9]_*.py")]
    return f"{max(numbers) + 1:04}"


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
