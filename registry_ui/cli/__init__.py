"""The ``flask`` commands. A command that fails prints the reason and exits with status 1."""

from __future__ import annotations

from flask import Flask

from . import adoption, copies  # noqa: F401 - add commands to groups of other modules
from .access import access_check
from .accounts import token, user
from .garbage_collections import collect_garbage
from .images import reconcile, tag
from .moves import move
from .places import deploy_token, member, namespace, project
from .registry_token import registry_token_group
from .removals import image, retention, tags
from .signing_key import signing_key

COMMANDS = (
    user,
    namespace,
    project,
    member,
    token,
    deploy_token,
    access_check,
    tag,
    tags,
    image,
    retention,
    move,
    reconcile,
    collect_garbage,
    registry_token_group,
    signing_key,
)


def init_app(app: Flask) -> None:
    """Register all commands and groups of commands."""
    for command in COMMANDS:
        app.cli.add_command(command)
