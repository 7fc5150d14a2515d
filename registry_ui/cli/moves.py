"""Commands that rename and move namespaces, projects and images."""

from __future__ import annotations

from typing import Any

import click
from flask.cli import AppGroup
from sqlalchemy import select

from ..access import Role
from ..audit import CONSOLE
from ..db.session import db
from ..errors import NotFound
from ..models import Move, Place
from ..moves import runner, unmoved_tags
from ..moves import service as moves
from ..moves.planner import MovePlan, plan_image, plan_place
from ..names import RepositoryName
from .errors import clear_errors
from .images import image_named
from .places import namespace, project
from .removals import image

move = AppGroup("move", help="Moves under way, and old names that can still be pulled.")

YES = click.option("--yes", is_flag=True, help="Do not ask.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Print the plan, and do nothing.")


@namespace.command("move")
@click.argument("path")
@click.argument("new_path", metavar="NEW")
@DRY_RUN
@YES
@clear_errors
def namespace_move(path: str, new_path: str, **how: bool) -> None:
    """Move the namespace PATH, with everything in it, to the path NEW."""
    _move_place("namespace", path, new_path, **how)


@project.command("move")
@click.argument("path")
@click.argument("new_path", metavar="NEW")
@DRY_RUN
@YES
@clear_errors
def project_move(path: str, new_path: str, **how: bool) -> None:
    """Move the project PATH, with all its images, to the path NEW."""
    _move_place("project", path, new_path, **how)


@image.command("move")
@click.argument("repository")
@click.argument("new_name", metavar="NEW")
@DRY_RUN
@YES
@clear_errors
def image_move(repository: str, new_name: str, **how: bool) -> None:
    """Rename the image REPOSITORY to NEW, in its project or in another."""
    found, owner = image_named(RepositoryName(repository))
    _carry_out(plan_image(found, owner, new_name, Role.OWNER, Role.OWNER), owner, **how)


@move.command("show")
@click.argument("number", type=int)
@clear_errors
def move_show(number: int) -> None:
    """Show the progress of a move."""
    _report(_named(number))


@move.command("cancel")
@click.argument("number", type=int)
@clear_errors
def move_cancel(number: int) -> None:
    """Cancel a move that has not switched to the new path yet."""
    moves.cancel(CONSOLE, number)
    _go_on(number)


@move.command("retry")
@click.argument("number", type=int)
@clear_errors
def move_retry(number: int) -> None:
    """Resume a move that has stopped."""
    moves.retry(CONSOLE, number)
    _go_on(number)


@move.command("retire")
@click.argument("number", type=int)
@click.option("--everything", is_flag=True, help="Also what the new path has no more.")
@clear_errors
def move_retire(number: int, *, everything: bool) -> None:
    """Delete the old path of a move now."""
    moves.retire_now(CONSOLE, number, everything=everything)
    _go_on(number)


@move.command("keep")
@click.argument("number", type=int)
@clear_errors
def move_keep(number: int) -> None:
    """Extend the time in which the old path of a move can be pulled."""
    _report(moves.extend_grace_period(CONSOLE, number))


def _move_place(kind: str, path: str, new_path: str, **how: bool) -> None:
    place = db.session.scalar(select(Place).where(Place.path == path, Place.kind == kind))
    if place is None:
        raise NotFound(f"There is no {kind} “{path[:255]}”.")
    _carry_out(plan_place(place, new_path), place, **how)


def _carry_out(plan: MovePlan, place: Place, *, dry_run: bool, yes: bool) -> None:
    """Print a plan, ask for confirmation, and carry it out.

    Standard output has a line for each image, with its old and its new name; remarks for people
    go to stderr.
    """
    for old, new, _ in plan.repositories:
        click.echo(f"{old} {new}")
    for change in plan.changes:
        roles = f"{change.before or 'no role'}, then {change.after or 'no role'}"
        click.echo(f"{change.username}: {roles}", err=True)
    for note in plan.notes:
        click.echo(note, err=True)
    for reference in plan.unread:
        click.echo(f"left out, because it can't be read: {reference}", err=True)
    click.echo(f"{len(plan.repositories)} images, {plan.tags} tags", err=True)
    if dry_run:
        return
    if not yes:
        click.confirm("Move them? Nobody can push for some minutes.", abort=True, err=True)
    planned = moves.save_plan(CONSOLE, plan, place)
    click.echo(f"This is move {planned.id}.", err=True)
    moves.confirm(CONSOLE, planned.id, leave_out=True)
    _go_on(planned.id)


def _go_on(number: int) -> None:
    runner.run(number)
    _report(_named(number))


def _named(number: int) -> Move:
    found: Any = db.session.get(Move, number, populate_existing=True)
    if found is None:
        raise NotFound(f"There is no move {number}.")
    row: Move = found
    return row


def _report(row: Move) -> None:
    click.echo(f"{row.source} to {row.target}: {row.state}", err=True)
    if row.state == "grace":
        until = f"until {row.grace_until:%-d %B %Y}" if row.grace_until else "until you decide"
        click.echo(f"The old name can be pulled {until}.", err=True)
    for part in moves.repositories_of(row):
        click.echo(f"{part.target} {part.state} {part.detail}".strip())
    left = unmoved_tags.list_unmoved(row)
    for reference, reason in left:
        click.echo(f"{reference} stays at the old name: {reason}", err=True)
    if left:
        more = unmoved_tags.count_unmoved(row) - len(left)
        click.echo(
            f"and {more} more\n{unmoved_tags.ADVICE}" if more else unmoved_tags.ADVICE, err=True
        )
    if row.problem:
        raise click.ClickException(row.problem)
