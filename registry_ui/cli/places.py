"""Commands for namespaces and projects, their members, and their deploy tokens."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from ..access import SCOPES, Role
from ..accounts.tokens import TokenRequest, end_of_day
from ..audit import CONSOLE
from ..jobs.queue import enqueue
from ..projects import deploy_tokens
from ..projects import service as projects
from .accounts import scopes_of
from .errors import clear_errors
from .options import VISIBILITY

namespace = AppGroup("namespace", help="Namespaces.")
project = AppGroup("project", help="Projects.")
member = AppGroup("member", help="Members of namespaces and projects.")
deploy_token = AppGroup("deploy-token", help="Deploy tokens of namespaces and projects.")


@namespace.command("create")
@click.argument("path")
@clear_errors
def namespace_create(path: str) -> None:
    """Create the namespace PATH."""
    projects.create_namespace(CONSOLE, path)
    click.echo(f"Created the namespace {path}.", err=True)


@project.command("create")
@click.argument("path")
@VISIBILITY
@clear_errors
def project_create(path: str, visibility: str) -> None:
    """Create the project PATH."""
    projects.create_project(CONSOLE, path, visibility)
    enqueue("adopt_below", path)
    click.echo(f"Created the project {path}.", err=True)


@member.command("add")
@click.argument("path")
@click.argument("username", metavar="USER")
@click.argument("role", type=click.Choice([r.name.lower() for r in Role], case_sensitive=False))
@clear_errors
def member_add(path: str, username: str, role: str) -> None:
    """Add USER as a member with ROLE to the namespace or project PATH."""
    projects.add_member(CONSOLE, path, username, Role.parse(role))
    click.echo(f"{username} is now {Role.parse(role).label} in {path}.", err=True)


@deploy_token.command("create")
@click.argument("path")
@click.option("--name", required=True, help="What will use it.")
@click.option("--scopes", required=True, help=f"Separated by commas, of {', '.join(SCOPES)}.")
@click.option("--expires", metavar="YYYY-MM-DD", default="", help="The last day, in UTC.")
@clear_errors
def deploy_token_create(path: str, name: str, scopes: str, expires: str) -> None:
    """Create a deploy token for the namespace or project PATH.

    Prints two lines: the user name of the token, and the secret.
    """
    token_request = TokenRequest(name, scopes_of(scopes), end_of_day(expires))
    created = deploy_tokens.create(CONSOLE, path, token_request)
    click.echo(created.username)
    click.echo(created.secret)


@deploy_token.command("revoke")
@click.argument("username")
@clear_errors
def deploy_token_revoke(username: str) -> None:
    """Revoke the deploy token with the user name USERNAME."""
    path = deploy_tokens.revoke_named(CONSOLE, username)
    click.echo(f"{username} of {path} was revoked.", err=True)
