"""Command ``access-check``: show what a user can do in a repository, and why."""

from __future__ import annotations

import click
from flask import current_app
from flask.cli import with_appcontext

from ..accounts.subjects import find_subject
from ..db.session import db
from ..token_auth.access_check import explain, repository_named
from ..token_auth.decision_queries import impersonal
from ..token_auth.scope import ACTIONS
from .errors import clear_errors


@click.command("access-check")
@click.argument("username", metavar="[USER]")
@click.argument("repository", required=False)
@click.option("--anonymous", is_flag=True, help="Anyone, without signing in; USER is left out.")
@click.option(
    "--action",
    "actions",
    multiple=True,
    type=click.Choice(ACTIONS),
    help="One or more; all of them by default.",
)
@click.pass_context
@with_appcontext
@clear_errors
def access_check(
    context: click.Context,
    username: str,
    repository: str | None,
    actions: tuple[str, ...],
    *,
    anonymous: bool,
) -> None:
    """Show whether USER can pull, push, and delete in REPOSITORY, and by which rule.

    USER is a user, or the user name of a deploy token. The repository need not exist.
    Exits with 0 if every requested action is allowed, otherwise with 1.
    """
    if anonymous and repository is None:
        username, repository = "", username
    if repository is None or (anonymous and username):
        raise click.UsageError("USER REPOSITORY, or --anonymous REPOSITORY")
    settings = current_app.config["SETTINGS"]
    name = repository_named(repository, settings.registry_host)
    subject = find_subject(db.session(), username, passwords=not settings.tokens_only)
    explanation = explain(db.session(), subject, name, actions or ACTIONS)
    for answer in explanation.answers:
        result = "allowed" if answer.allowed else "refused"
        click.echo(f"{answer.action:<7} {result}  {impersonal(answer.rule)}")
    for remark in explanation.protection:
        click.echo(remark, err=True)
    if explanation.note:
        click.echo(f"For docker login {explanation.note}.", err=True)
    context.exit(0 if explanation.allowed else 1)
