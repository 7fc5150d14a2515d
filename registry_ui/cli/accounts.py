"""Commands for user accounts and access tokens."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import click
from flask.cli import AppGroup

from ..access import SCOPES
from ..accounts import secrets
from ..accounts import service as accounts
from ..accounts.tokens import TokenRequest, end_of_day
from ..audit import CONSOLE
from .errors import clear_errors
from .options import group_options

user = AppGroup("user", help="Accounts.")
token = AppGroup("token", help="Access tokens.")


@user.command("create")
@click.argument("name")
@click.option("--admin", is_flag=True, help="Make an administrator.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@clear_errors
def user_create(name: str, *, admin: bool, password_stdin: bool) -> None:
    """Create the user NAME. Without --password-stdin, generate and print the password."""
    given_password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    password = secrets.new_password() if given_password is None else given_password
    accounts.create_user(CONSOLE, name, password, is_admin=admin)
    click.echo(f"Created {name}, with the namespace {name}.", err=True)
    if given_password is None:
        click.echo(password)


@user.command("password")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@clear_errors
def user_password(name: str, *, password_stdin: bool) -> None:
    """Change the password of NAME. Without --password-stdin, generate and print it."""
    given_password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    password = secrets.new_password() if given_password is None else given_password
    accounts.set_password(CONSOLE, name, password)
    click.echo(f"{name} has a new password, and was signed out everywhere.", err=True)
    if given_password is None:
        click.echo(password)


def scopes_of(text: str) -> list[str]:
    """Return the scopes in a comma-separated list."""
    return [scope.strip() for scope in text.split(",") if scope.strip()]


@dataclass(frozen=True, slots=True)
class TokenOptions:
    """Option values of the command ``token create``; the command's help describes them."""

    name: str
    scopes: str
    only: str
    exactly: bool
    expires: str


@token.command("create")
@click.argument("username", metavar="USER")
@click.option("--name", required=True, help="What will use it.")
@click.option("--scopes", required=True, help=f"Separated by commas, of {', '.join(SCOPES)}.")
@click.option("--only", metavar="PATH", default="", help="Holds there and below, nowhere else.")
@click.option("--exactly", is_flag=True, help="With --only: there alone, not below.")
@click.option("--expires", metavar="YYYY-MM-DD", default="", help="The last day, in UTC.")
@group_options(TokenOptions)
@clear_errors
def token_create(username: str, options: TokenOptions) -> None:
    """Create an access token for USER. Prints the token only."""
    if options.exactly and not options.only:
        raise click.UsageError("--exactly goes with --only")
    owner = accounts.find_user(username)
    token_request = TokenRequest(
        name=options.name,
        scopes=scopes_of(options.scopes),
        expires_at=end_of_day(options.expires),
        restriction=options.only,
        restriction_exact=options.exactly,
    )
    click.echo(accounts.create_access_token(CONSOLE, owner, token_request).secret)
