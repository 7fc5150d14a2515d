"""Commands that show and rotate the key that signs bearer tokens."""

from __future__ import annotations

import click
from flask import current_app
from flask.cli import AppGroup

from ..audit import CONSOLE
from ..token_auth import rotation
from ..token_auth.keyring import RotatingSigner
from .errors import clear_errors

signing_key = AppGroup("signing-key", help="The key that signs bearer tokens.")


def _get_signer() -> RotatingSigner:
    signer: RotatingSigner = current_app.extensions["signer"]
    return signer


@signing_key.command("status")
@clear_errors
def signing_key_status() -> None:
    """Print a line for each key.

    A line has the state of the key (active, next, or previous), the key id, and the expiry
    date of the certificate.
    """
    for view in _get_signer().ring.views():
        warning = "  ends soon" if view.ends_soon else ""
        click.echo(f"{view.part:<9} {view.key_id}  {view.expires_at.date()}{warning}")


@signing_key.command("stage")
@clear_errors
def signing_key_stage() -> None:
    """Create and publish the next key; the active key keeps signing.

    The registry reads the certificate from the bundle when it starts.
    """
    ring = _get_signer().ring
    rotation.stage(CONSOLE, ring)
    click.echo(f"A key was staged. Its certificate is in {ring.bundle_file}:", err=True)
    click.echo("restart the registry with that rootcertbundle, then activate the key.", err=True)


@signing_key.command("activate")
@click.option("--force", is_flag=True, help="Even if the registry does not accept it yet.")
@clear_errors
def signing_key_activate(*, force: bool) -> None:
    """Start signing with the staged key, if the registry accepts it."""
    settings = current_app.config["SETTINGS"]
    rotation.activate(
        CONSOLE, _get_signer(), settings.registry_url, settings.registry_timeout, force=force
    )
    click.echo("The new key signs. Every process takes it up within seconds.", err=True)
    click.echo("Retire the previous one when its last tokens have ended.", err=True)


@signing_key.command("retire")
@click.option("--force", is_flag=True, help="Even if tokens of it are still in use.")
@clear_errors
def signing_key_retire(*, force: bool) -> None:
    """Retire the previous key, if none of its tokens can still be in use."""
    rotation.retire(CONSOLE, _get_signer(), force=force)
    click.echo("The previous key was retired. Stage the next one when you like.", err=True)
