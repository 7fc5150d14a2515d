"""Commands for the registry token, the secret with which the registry sends notifications."""

from __future__ import annotations

import click
from flask import current_app
from flask.cli import AppGroup

from ..audit import CONSOLE
from ..distribution.configuration import notifications_snippet
from ..events import registry_token
from .errors import clear_errors

registry_token_group = AppGroup("registry-token", help="The registry token.")


@registry_token_group.command("show")
@clear_errors
def registry_token_show() -> None:
    """Print the registry token only. The disclosure is recorded in the audit log."""
    click.echo(registry_token.reveal(CONSOLE))


@registry_token_group.command("reset")
@clear_errors
def registry_token_reset() -> None:
    """Create a new registry token and print it.

    Standard output has the token only; instructions go to stderr.
    """
    secret = registry_token.reset(CONSOLE)
    events_url = current_app.config["SETTINGS"].events_url
    click.echo("The old token stays valid until the new one is used, at most 24 hours.", err=True)
    click.echo(notifications_snippet(events_url, "REGISTRY_TOKEN"), err=True)
    click.echo("Where `make run` started the registry, start that again: it writes it.", err=True)
    click.echo(secret)
