"""Command ``project adopt``: create projects for repositories that no project owns, in bulk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import click

from ..adoption.service import MAX_PARTS, AdoptionPlan, AdoptionRequest, adopt, plan_adoption
from ..audit import CONSOLE
from ..db.session import db
from ..errors import Invalid
from ..formatting import pluralize
from ..jobs.queue import enqueue
from .errors import clear_errors
from .options import DRY_RUN, VISIBILITY, YES, group_options
from .places import project

#: Exit status if some repositories can be adopted, but not all.
INCOMPLETE = 3


@dataclass(frozen=True, slots=True)
class AdoptionOptions:
    """Values of the options of the command ``project adopt``; see the help of the command."""

    parts: str
    visibility: str
    owner: str
    dry_run: bool
    yes: bool


def _validate_parts(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    if text not in map(str, range(MAX_PARTS + 1)):
        allowed = f"a whole number from 1 to {MAX_PARTS}, or 0 for the whole name"
        raise click.BadParameter(f"“{text[:20]}” is not {allowed}.")
    return text


@project.command("adopt")
@click.argument("below", default="")
@click.option(
    "--parts",
    default="2",
    show_default=True,
    metavar="NUMBER",
    callback=_validate_parts,
    help="How many parts of a repository's name are the path of its project; 0 for all.",
)
@VISIBILITY
@click.option("--owner", default="", metavar="USER", help="Becomes Owner where there is none.")
@DRY_RUN
@YES
@group_options(AdoptionOptions)
@click.pass_context
@clear_errors
def project_adopt(context: click.Context, below: str, options: AdoptionOptions) -> None:
    """Create projects for the unassigned repositories at and below the path BELOW, or for all.

    Unassigned repositories are those that no project owns. Prints a table of the projects
    and the repositories that they will own. Exits with 3 if some
    repositories can't be adopted, and with 1 if none can or nothing was adopted.
    """
    try:
        request = AdoptionRequest.parse(below, options.parts, options.visibility, options.owner)
    except Invalid as error:
        raise click.UsageError(" ".join(error.errors.values())) from None
    plan = plan_adoption(db.session(), request)
    _print_plan(plan)
    if not plan.projects:
        raise click.ClickException(_explain_nothing(plan))
    if not options.dry_run:
        if not options.yes:
            click.confirm("Go on?", abort=True, err=True)
        adopt(CONSOLE, request, plan.digest)
        enqueue("index_adopted")
    verb = "Would adopt" if options.dry_run else "Adopted"
    click.echo(
        f"{verb} {pluralize(plan.repositories, 'repository', 'repositories')} in "
        f"{pluralize(len(plan.projects), 'project')}.",
        err=True,
    )
    if plan.conflicts:
        conflict_count = pluralize(len(plan.conflicts), "repository stays", "repositories stay")
        click.echo(f"{conflict_count} unassigned; the reasons are above.", err=True)
        context.exit(INCOMPLETE)


def _print_plan(plan: AdoptionPlan) -> None:
    for conflict in plan.conflicts:
        click.echo(f"{conflict.repository}: {conflict.reason}", err=True)
    if plan.projects:
        rows = [
            (
                planned.path,
                "exists" if planned.exists else "new",
                str(len(planned.repositories)),
                " ".join(planned.repositories),
            )
            for planned in plan.projects
        ]
        for line in _format_table(("PROJECT", "STATE", "REPOSITORIES", "NAMES"), rows):
            click.echo(line)
    if plan.namespaces:
        click.echo(f"New namespaces: {' '.join(plan.namespaces)}", err=True)
    if plan.owned:
        click.echo(f"{plan.request.owner} becomes Owner of: {' '.join(plan.owned)}", err=True)
    if plan.ownerless:
        click.echo(f"Without an Owner (see --owner): {' '.join(plan.ownerless)}", err=True)


def _format_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table as aligned lines; the last column is not padded."""
    lines = [list(head), *map(list, rows)]
    for column in range(len(head) - 1):
        width = max(len(line[column]) for line in lines)
        for line in lines:
            line[column] = line[column].ljust(width)
    return ["  ".join(line) for line in lines]


def _explain_nothing(plan: AdoptionPlan) -> str:
    if plan.conflicts:
        return "Nothing can be adopted."
    location = f" at or below “{plan.request.below}”" if plan.request.below else ""
    return f"Nothing can be adopted: there is no unassigned repository{location}."
