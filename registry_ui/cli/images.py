"""Commands that delete a tag, and that reconcile the index (the database's copy of the tags)."""

from __future__ import annotations

import click
from flask.cli import AppGroup, with_appcontext
from sqlalchemy import select

from ..access import Role
from ..access.lookup import owning_project
from ..audit import CONSOLE
from ..catalog import reconcile as catalog_reconcile
from ..catalog.images import is_listed
from ..db.session import db
from ..formatting import outcome_label
from ..models import ContainerImage, Project, Removal
from ..names import Reference, RepositoryName
from ..operations.write_freeze import AWAITED_EVENTS
from ..removals import runner
from ..removals.plan import RemovalOptions, RemovalPlan
from ..removals.planner import plan_tag
from ..removals.service import start
from ..trash import service as trash
from .errors import clear_errors
from .options import FOR_GOOD, YES

tag = AppGroup("tag", help="Tags.")


@tag.command("delete")
@click.argument("reference")
@FOR_GOOD
@click.option("--despite-rules", is_flag=True, help="Also if it is immutable, but can't be read.")
@YES
@clear_errors
def tag_delete(reference: str, *, for_good: bool, despite_rules: bool, yes: bool) -> None:
    """Delete the tag REFERENCE (group/project/image:tag), and no other."""
    parsed = Reference.parse(reference)
    if parsed.tag is None or parsed.digest is not None:
        raise click.UsageError("REFERENCE is group/project/image:tag")
    image, owner = find_image(parsed.name)
    days = 0 if for_good else trash.days()
    options = RemovalOptions(trash_days=days, role=Role.OWNER, despite_rules=despite_rules)
    plan = plan_tag(image, parsed.tag, options)
    print_remarks(plan)
    if not plan.steps:
        hint = " Add --despite-rules." if plan.overridable else ""
        raise click.ClickException(f"Nothing is deleted.{hint}")
    for name in plan.keeps:
        click.echo(f"keeps    {image.path}:{name} (the same digest)", err=True)
    description = plan.steps[0].digest or "it can't be read"
    click.echo(f"deletes  {plan.target} ({description})", err=True)
    if not yes:
        click.confirm("Go on?", abort=True, err=True)
    removal = carry_out_removal(start(CONSOLE, plan, owner).id)
    if removal.state != "done":
        raise click.ClickException(removal.lines[-1].detail)
    line = removal.lines[0]
    click.echo(f"{outcome_label(line.outcome)}: {plan.target} {line.detail}".strip(), err=True)


def print_remarks(plan: RemovalPlan) -> None:
    """Print the notes of a plan on stderr, and the tags for which it makes an exception.

    The exceptions are the tags that the plan keeps, the tags that can't be read, and the tags that
    the plan deletes despite a protection rule.
    """
    for name, reason in plan.refused:
        click.echo(f"keeps    {name}: {reason}", err=True)
    for name in plan.unread:
        click.echo(f"unread   {name}", err=True)
    for name, rule in plan.despite:
        click.echo(f"despite  {name}: {rule}", err=True)
    for note in plan.notes:
        click.echo(note, err=True)


def carry_out_removal(removal_id: int) -> Removal:
    """Carry out a stored removal in this process, and return the removal.

    Raises:
        click.ClickException: the removal stopped with a problem, waits for the end of a write
            freeze, or is already being carried out by a worker.
    """
    removal = runner.run(removal_id)
    freeze = runner.find_blocking_freeze(db.session(), removal_id)
    if freeze is not None:
        event = AWAITED_EVENTS[freeze.reason]
        raise click.ClickException(f"It waits until {event}; a worker goes on then.")
    if removal is None:
        raise click.ClickException("A worker is at it already.")
    if removal.problem:
        raise click.ClickException(removal.problem)
    return removal


def find_image(name: RepositoryName) -> tuple[ContainerImage, Project]:
    """Return an image in the index and its project; raise ClickException if there is none."""
    owner = owning_project(db.session(), str(name))
    query = select(ContainerImage).where(ContainerImage.path == str(name), is_listed())
    image = db.session.scalar(query)
    if owner is None or image is None:
        raise click.ClickException(f"There is no image {name}. Is it indexed? Try reconcile.")
    return image, owner


@click.command("reconcile")
@click.argument("repository", required=False)
@with_appcontext
@clear_errors
def reconcile(repository: str | None) -> None:
    """Compare REPOSITORY, or the whole registry, with the index, and repair the index."""
    if repository:
        outcomes = [catalog_reconcile.reconcile(RepositoryName(repository))]
    else:
        outcomes = catalog_reconcile.reconcile_all()
    for outcome in outcomes:
        if outcome.error:
            click.echo(f"{outcome.repository}: {outcome.error}", err=True)
            continue
        click.echo(f"{outcome.repository}: {outcome}")
    if any(outcome.error for outcome in outcomes):
        raise click.ClickException("Not everything could be compared; nothing was removed for it.")
