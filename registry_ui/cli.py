"""The ``flask`` commands. Each says clearly what is wrong, and exits with 1."""

from __future__ import annotations

from flask import Flask

from .commands.access import access_check
from .commands.accounts import token, user
from .commands.adoption import project
from .commands.collections import collect_garbage
from .commands.copies import image, tag
from .commands.images import reconcile
from .commands.moves import move
from .commands.places import deploy_token, member, namespace
from .commands.registry_token import registry_token_group
from .commands.removals import retention, tags
from .commands.signing_key import signing_key

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
    """Register every group of commands."""
    for command in COMMANDS:
        app.cli.add_command(command)
