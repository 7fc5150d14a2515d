"""The settings of a run of ``make run``, and the file in which ``flask`` commands find them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from config import PREFIX, ROOT, Config, ConfigError, read_env_file

from ..files import private_directory, write_private
from . import LaunchError
from .keys import ensure_secret_key

#: Settings that are not saved: ``VAR`` is needed to find the file with the saved settings, and the
#: administrator's password is only for the first start.
UNSAVED_SETTINGS = frozenset({PREFIX + "VAR", PREFIX + "ADMIN_PASSWORD"})


def read_settings(environ: Mapping[str, str]) -> Config:
    """Return the settings; create the ``var`` directory and the secret key if they are missing.

    Only the environment is read; ``settings.env`` from an earlier run is for ``flask`` commands.

    Raises:
        LaunchError: a setting can't be used.
    """
    var = private_directory(ROOT / (environ.get(PREFIX + "VAR") or "var"))
    if not environ.get(PREFIX + "SECRET_KEY"):
        ensure_secret_key(var / "secret_key")
    empty_settings = dict.fromkeys(read_env_file(settings_file(var)), "")
    try:
        return Config.from_environ(empty_settings | dict(environ))
    except ConfigError as error:
        raise LaunchError(str(error)) from None


def save_settings(config: Config, environ: Mapping[str, str]) -> None:
    """Save the settings from the environment to a file, from which ``flask`` commands read them.

    So ``.venv/bin/flask`` works in a shell in which these environment variables are not set. The
    file can contain passwords (in the database and Redis URLs) and the secret key, because the
    commands need them. Like the key files, only the user who runs this process can read it.

    Raises:
        LaunchError: a value contains a line break.
    """
    lines = ["# The settings of the last `make run`; written at each start."]
    for name, value in sorted(environ.items()):
        if name.startswith(PREFIX) and value and name not in UNSAVED_SETTINGS:
            if "\n" in value:
                raise LaunchError(f"{name} holds a line break: one line is needed")
            lines.append(f"{name}={value}")
    write_private(settings_file(config.var), "\n".join(lines) + "\n")


def settings_file(var: Path) -> Path:
    """Return the path of the file with the saved settings."""
    return var / "settings.env"
