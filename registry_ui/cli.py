"""The ``flask`` commands. Each says clearly what is wrong, and exits with 1."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext
from sqlalchemy import select

from .access import SCOPES, Role, Visibility
from .accounts import secrets as passwords
from .accounts import service as accounts
from .admin import registry_token
from .audit import CONSOLE
from .catalog import reconcile as reconciling
from .catalog import removals
from .catalog.deletion import plan_tag, start
from .catalog.index import owning_project
from .distribution.configuration import notifications_snippet
from .distribution.errors import RegistryError
from .errors import AppError, Invalid
from .extensions import db
from .jobs import enqueue
from .models import ContainerImage, Project
from .names import NameInvalid, Reference, RepositoryName
from .projects import service as projects


def init_app(app: Flask) -> None:
    """Register every group of commands."""
    for command in (user, namespace, project, member, token, tag, registry_token_group, reconcile):
        app.cli.add_command(command)


def clear_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn what a service raises into a message and exit status 1."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except Invalid as error:
            details = " ".join(error.errors.values())
            raise click.ClickException(" ".join(filter(None, [error.message, details]))) from None
        except AppError as error:
            raise click.ClickException(f"{error.message} {error.hint}".strip()) from None
        except (NameInvalid, RegistryError) as error:
            raise click.ClickException(str(error)) from None

    return run


user = AppGroup("user", help="Accounts.")
namespace = AppGroup("namespace", help="Namespaces.")
project = AppGroup("project", help="Projects.")
member = AppGroup("member", help="Members of namespaces and projects.")
token = AppGroup("token", help="Access tokens.")
tag = AppGroup("tag", help="Tags.")
registry_token_group = AppGroup("registry-token", help="The registry token.")


@user.command("create")
@click.argument("name")
@click.option("--admin", is_flag=True, help="Make an administrator.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@clear_errors
def user_create(name: str, *, admin: bool, password_stdin: bool) -> None:
    """Create the user NAME, and print the password where none was given."""
    given = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    password = passwords.new_password() if given is None else given
    accounts.create_user(CONSOLE, name, password, is_admin=admin)
    click.echo(f"Created {name}.", err=True)
    if given is None:
        click.echo(password)


@user.command("password")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@clear_errors
def user_password(name: str, *, password_stdin: bool) -> None:
    """Give the user NAME a new password, and print it where none was given."""
    given = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    password = passwords.new_password() if given is None else given
    accounts.set_password(CONSOLE, name, password)
    click.echo(f"{name} has a new password, and was signed out everywhere.", err=True)
    if given is None:
        click.echo(password)


@namespace.command("create")
@click.argument("path")
@clear_errors
def namespace_create(path: str) -> None:
    """Create the namespace PATH."""
    projects.create_namespace(CONSOLE, path)
    click.echo(f"Created the namespace {path}.", err=True)


@project.command("create")
@click.argument("path")
@click.option(
    "--visibility",
    type=click.Choice([str(v) for v in Visibility]),
    default=str(Visibility.PRIVATE),
    show_default=True,
)
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
    """Give USER the ROLE in the namespace or project PATH."""
    projects.add_member(CONSOLE, path, username, Role.parse(role))
    click.echo(f"{username} is now {Role.parse(role).label} in {path}.", err=True)


@token.command("create")
@click.argument("username", metavar="USER")
@click.option("--name", required=True, help="What will use it.")
@click.option("--scopes", required=True, help=f"Separated by commas, of {', '.join(SCOPES)}.")
@clear_errors
def token_create(username: str, name: str, scopes: str) -> None:
    """Make an access token for USER and print it, alone."""
    chosen = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    owner = accounts.user_named(username)
    click.echo(accounts.create_access_token(CONSOLE, owner, name, chosen))


@tag.command("delete")
@click.argument("reference")
@click.option("--yes", is_flag=True, help="Do not ask.")
@clear_errors
def tag_delete(reference: str, *, yes: bool) -> None:
    """Delete the tag REFERENCE (group/project/image:tag), and no other."""
    parsed = Reference.parse(reference)
    if parsed.tag is None or parsed.digest is not None:
        raise click.UsageError("REFERENCE is group/project/image:tag")
    image, owner = _image(parsed.name)
    plan = plan_tag(image, parsed.tag)
    for name in plan.keeps:
        click.echo(f"keeps    {image.path}:{name} (the same digest)", err=True)
    click.echo(f"deletes  {plan.target} ({plan.digest})", err=True)
    if not yes:
        click.confirm("Go on?", abort=True, err=True)
    removal = removals.run(start(CONSOLE, plan, owner).id)
    if removal is None:
        raise click.ClickException("A worker is at it already.")
    last = removal.report[-1]
    if removal.state != "done":
        raise click.ClickException(last["detail"])
    click.echo(f"{last['outcome']}: {plan.target} {last['detail']}".strip(), err=True)


def _image(name: RepositoryName) -> tuple[ContainerImage, Project]:
    owner = owning_project(db.session(), str(name))
    image = db.session.scalar(select(ContainerImage).where(ContainerImage.path == str(name)))
    if owner is None or image is None:
        raise click.ClickException(f"There is no image {name}. Is it indexed? Try reconcile.")
    return image, owner


@registry_token_group.command("show")
@clear_errors
def registry_token_show() -> None:
    """Print the registry token, alone. It is noted in the audit."""
    click.echo(registry_token.reveal(CONSOLE))


@registry_token_group.command("reset")
@clear_errors
def registry_token_reset() -> None:
    """Make a new registry token and print it, alone; what to do with it goes to stderr."""
    secret = registry_token.reset(CONSOLE)
    events_url = current_app.config["SETTINGS"].events_url
    click.echo("The old token stays valid until the new one is used, at most 24 hours.", err=True)
    click.echo(notifications_snippet(events_url, "REGISTRY_TOKEN"), err=True)
    click.echo("Where `make run` started the registry, start that again: it writes it.", err=True)
    click.echo(secret)


@click.command("reconcile")
@click.argument("repository", required=False)
@with_appcontext
@clear_errors
def reconcile(repository: str | None) -> None:
    """Compare REPOSITORY, or the whole registry, with the index, and mend the index."""
    if repository:
        outcomes = [reconciling.reconcile(RepositoryName(repository))]
    else:
        outcomes = reconciling.reconcile_all()
    for outcome in outcomes:
        if outcome.error:
            click.echo(f"{outcome.repository}: {outcome.error}", err=True)
            continue
        click.echo(f"{outcome.repository}: {outcome}")
    if any(outcome.error for outcome in outcomes):
        raise click.ClickException("Not everything could be compared; nothing was removed for it.")
