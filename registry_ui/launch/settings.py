"""The settings of this run, and the note of them that the ``flask`` command reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from config import PREFIX, ROOT, Config, ConfigError, read_env_file

from ..files import private_directory, write_private
from . import LaunchError
from .keys import ensure_secret_key

#: Where ``VAR`` points to is how the file is found; the password is for the first start only.
NOT_NOTED = frozenset({PREFIX + "VAR", PREFIX + "ADMIN_PASSWORD"})


def read_settings(environ: Mapping[str, str]) -> Config:
    """Return the settings, after making ``var`` and the secret key where they are missing.

    The environment alone decides: what an earlier run noted is for ``flask`` commands.

    Raises:
        LaunchError: a setting cannot be used.
    """
    var = private_directory(ROOT / (environ.get(PREFIX + "VAR") or "var"))
    if not environ.get(PREFIX + "SECRET_KEY"):
        ensure_secret_key(var / "secret_key")
    forgotten = dict.fromkeys(read_env_file(settings_file(var)), "")
    try:
        return Config.from_environ(forgotten | dict(environ))
    except ConfigError as error:
        raise LaunchError(str(error)) from None


def note_settings(config: Config, environ: Mapping[str, str]) -> None:
    """Write down what was set, so that ``.venv/bin/flask`` works without settings.

    Addresses of a database or of Redis may hold passwords, and a secret key may be given:
    the commands need them. The file has the same mode and place as the keys themselves.
    """
    lines = ["# The settings of the last `make run`; written at each start."]
    for name, value in sorted(environ.items()):
        if name.startswith(PREFIX) and value and name not in NOT_NOTED:
            if "\n" in value:
                raise LaunchError(f"{name} holds a line break: one line is needed")
            lines.append(f"{name}={value}")
    write_private(settings_file(config.var), "\n".join(lines) + "\n")


def settings_file(var: Path) -> Path:
    """Return where the note lies."""
    return var / "settings.env"
