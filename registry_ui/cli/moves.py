"""Commands that rename and move namespaces, projects, and images."""

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
from .images import find_image
from .options import DRY_RUN, YES
from .places import namespace, project
from .removals import image

move = AppGroup("move", help="Moves under way, and old paths that can still be pulled.")


@namespace.command("move")
@click.argument("path")
@click.argument("new_path", metavar="NEW")
@DRY_RUN
@YES
@clear_errors
def namespace_move(path: str, new_path: str, *, dry_run: bool, yes: bool) -> None:
    """Move the namespace PATH, with everything in it, to the path NEW."""
    _move_place("namespace", path, new_path, dry_run=dry_run, yes=yes)


@project.command("move")
@click.argument("path")
@click.argument("new_path", metavar="NEW")
@DRY_RUN
@YES
@clear_errors
def project_move(path: str, new_path: str, *, dry_run: bool, yes: bool) -> None:
    """Move the project PATH, with all its images, to the path NEW."""
    _move_place("project", path, new_path, dry_run=dry_run, yes=yes)


@image.command("move")
@click.argument("repository")
@click.argument("new_name", metavar="NEW")
@DRY_RUN
@YES
@clear_errors
def image_move(repository: str, new_name: str, *, dry_run: bool, yes: bool) -> None:
    """Rename the image REPOSITORY to NEW, in its project or in a different project."""
    row, owner = find_image(RepositoryName(repository))
    _carry_out(
        plan_image(row, owner, new_name, Role.OWNER, Role.OWNER), owner, dry_run=dry_run, yes=yes
    )


@move.command("show")
@click.argument("number", type=int)
@clear_errors
def move_show(number: int) -> None:
    """Show the progress of a move."""
    _print_report(_find_move(number))


@move.command("cancel")
@click.argument("number", type=int)
@clear_errors
def move_cancel(number: int) -> None:
    """Cancel a move that has not switched to the new path yet."""
    moves.cancel(CONSOLE, number)
    _run_and_report(number)


@move.command("retry")
@click.argument("number", type=int)
@clear_errors
def move_retry(number: int) -> None:
    """Resume a move that has stopped."""
    moves.retry(CONSOLE, number)
    _run_and_report(number)


@move.command("retire")
@click.argument("number", type=int)
@click.option("--everything", is_flag=True, help="Also what the new path has no more.")
@clear_errors
def move_retire(number: int, *, everything: bool) -> None:
    """Delete the old path of a move now."""
    moves.retire_now(CONSOLE, number, everything=everything)
    _run_and_report(number)


@move.command("keep")
@click.argument("number", type=int)
@clear_errors
def move_keep(number: int) -> None:
    """Extend the time in which the old path of a move can be pulled."""
    _print_report(moves.extend_grace_period(CONSOLE, number))


def _move_place(kind: str, path: str, new_path: str, *, dry_run: bool, yes: bool) -> None:
    place = db.session.scalar(select(Place).where(Place.path == path, Place.kind == kind))
    if place is None:
        raise NotFound(f"There is no {kind} “{path[:255]}”.")
    _carry_out(plan_place(place, new_path), place, dry_run=dry_run, yes=yes)


def _carry_out(plan: MovePlan, place: Place, *, dry_run: bool, yes: bool) -> None:
    """Print the plan of a move, ask for confirmation, and carry out the move.

    Standard output has a line for each image, with its old and its new path; remarks for people
    go to stderr.

    Args:
        plan: the plan of the move.
        place: the namespace or project to move, or the project of the image to move.
        dry_run: only print the plan.
        yes: do not ask for confirmation.
    """
    for source, target, _ in plan.repositories:
        click.echo(f"{source} {target}")
    for change in plan.changes:
        roles = f"{change['before'] or 'no role'}, then {change['after'] or 'no role'}"
        click.echo(f"{change['username']}: {roles}", err=True)
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
    _run_and_report(planned.id)


def _run_and_report(number: int) -> None:
    runner.run(number)
    _print_report(_find_move(number))


def _find_move(number: int) -> Move:
    row: Any = db.session.get(Move, number, populate_existing=True)
    if row is None:
        raise NotFound(f"There is no move {number}.")
    move: Move = row
    return move


def _print_report(row: Move) -> None:
    click.echo(f"{row.source} to {row.target}: {row.state}", err=True)
    if row.state == "grace":
        until = f"until {row.grace_until:%-d %B %Y}" if row.grace_until else "until you decide"
        click.echo(f"The old path can be pulled {until}.", err=True)
    for repository in moves.repositories_of(row):
        click.echo(f"{repository.target} {repository.state} {repository.detail}".strip())
    unmoved = unmoved_tags.list_unmoved(row)
    for reference, reason in unmoved:
        click.echo(f"{reference} stays at the old path: {reason}", err=True)
    if unmoved:
        hidden_count = unmoved_tags.count_unmoved(row) - len(unmoved)
        click.echo(
            f"and {hidden_count} more\n{unmoved_tags.ADVICE}"
            if hidden_count
            else unmoved_tags.ADVICE,
            err=True,
        )
    if row.problem:
        raise click.ClickException(row.problem)
