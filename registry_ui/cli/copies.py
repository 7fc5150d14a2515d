"""Commands that copy a tag, or an image with some or all of its tags."""

from __future__ import annotations

from dataclasses import dataclass

import click
from sqlalchemy import select

from ..access import Role
from ..access.lookup import owning_project
from ..audit import CONSOLE
from ..copies import service as copies
from ..copies.plan import OVERWRITES, REFUSED, SAME, CopyPlan, CopyRequest
from ..copies.planner import plan_copy
from ..copies.steps import SUCCESSFUL_OUTCOMES
from ..copies.unassigned import is_unassigned, tags_of_unassigned
from ..db.session import db
from ..models import Copy, CopyLine, Project
from ..names import Reference, RepositoryName
from ..operations import runner
from ..operations.write_freeze import AWAITED_EVENTS
from ..patterns.glob import TAGS
from ..patterns.retention import parse_pattern
from ..tags.selection import Criteria, choose
from .errors import clear_errors
from .images import find_image, tag
from .options import DRY_RUN, YES, group_options
from .removals import image

OVERWRITE = click.option("--overwrite", is_flag=True, help="Overwrite tags of the target.")
ALONE = click.option("--alone", is_flag=True, help="Without signatures and the like.")


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """Values of the options of the commands that copy.

    Attributes:
        overwrite: overwrite existing tags of the target repository.
        alone: copy no referrers, such as signatures.
        dry_run: print the plan only.
        yes: do not ask for confirmation.
    """

    overwrite: bool
    alone: bool
    dry_run: bool
    yes: bool


@tag.command("copy")
@click.argument("source")
@click.argument("target")
@OVERWRITE
@ALONE
@DRY_RUN
@YES
@group_options(CopyOptions)
@clear_errors
def tag_copy(source: str, target: str, options: CopyOptions) -> None:
    """Copy the tag SOURCE (group/project/image:tag) to TARGET, under the same or another name."""
    source_reference, target_reference = Reference.parse(source), Reference.parse(target)
    if (
        source_reference.tag is None
        or source_reference.digest is not None
        or target_reference.digest is not None
    ):
        raise click.UsageError("SOURCE is group/project/image:tag, TARGET the same or without tag")
    path, owner = _find_source(source_reference.name)
    copy_request = CopyRequest(
        kind="tag",
        source=path,
        source_project=owner,
        target_project=_find_project(target_reference.name),
        target=target_reference.name,
        tags={str(source_reference.tag): str(target_reference.tag or source_reference.tag)},
        attached=not options.alone,
    )
    _carry_out(copy_request, options)


@image.command("copy")
@click.argument("source")
@click.argument("target")
@click.option("--matching", default="", metavar="GLOBS", help="Only tags that match: v*, latest.")
@OVERWRITE
@ALONE
@DRY_RUN
@YES
@group_options(CopyOptions)
@clear_errors
def image_copy(source: str, target: str, matching: str, options: CopyOptions) -> None:
    """Copy the tags of the image SOURCE (group/project/image) to TARGET.

    SOURCE can be a repository that no project owns.
    """
    pattern = parse_pattern("glob", matching, TAGS, "matching") if matching else None
    path, owner = _find_source(RepositoryName(source))
    if owner:
        names = choose(find_image(RepositoryName(path))[0], Criteria(pattern=pattern))
    else:
        all_tags = tags_of_unassigned(RepositoryName(path))
        names = {tag for tag in all_tags if pattern is None or pattern.matches(tag)}
    if not names:
        raise click.ClickException("No tag fits.")
    name = RepositoryName(target)
    copy_request = CopyRequest(
        kind="tags" if matching else "image",
        source=path,
        source_project=owner,
        target_project=_find_project(name),
        target=name,
        tags={tag_name: tag_name for tag_name in names},
        attached=not options.alone,
    )
    _carry_out(copy_request, options)


def _find_source(name: RepositoryName) -> tuple[str, str]:
    """Return the path of a repository and the path of its project, "" if no project owns it."""
    if is_unassigned(db.session(), name):
        return str(name), ""
    row, owner = find_image(name)
    return row.path, owner.path


def _find_project(repository: RepositoryName) -> Project:
    project = owning_project(db.session(), str(repository))
    if project is None:
        raise click.ClickException(f"No project owns {repository}. Create one first.")
    return project


def _carry_out(copy_request: CopyRequest, options: CopyOptions) -> None:
    plan = plan_copy(copy_request, Role.OWNER)
    _print_plan(plan, overwrite=options.overwrite)
    if options.dry_run:
        return
    if not options.yes:
        click.confirm("Copy them?", abort=True, err=True)
    copy_id = copies.save_plan(CONSOLE, copy_request, plan).id
    copies.start_planned(CONSOLE, copy_id, overwrite=options.overwrite)
    copy = copies.run(copy_id)
    freeze = runner.find_blocking_freeze(db.session(), Copy, copy_id)
    if freeze is not None:
        event = AWAITED_EVENTS[freeze.reason]
        raise click.ClickException(f"It waits until {event}; a worker goes on then.")
    if copy is None:
        raise click.ClickException("A worker is at it already.")
    _print_report(copy)


def _print_plan(plan: CopyPlan, *, overwrite: bool) -> None:
    """Print the source tags to copy, one per line, and notes for the reader to stderr."""
    for step in plan.steps:
        click.echo(f"{step.repository}:{step.tag}")
    for planned in plan.tags:
        reference = f"{plan.target}:{planned.tag}"
        if planned.state == REFUSED:
            click.echo(f"refused  {reference}: {planned.why}", err=True)
        elif planned.state == OVERWRITES:
            verb = "replaces" if overwrite else "keeps   "
            click.echo(f"{verb} {reference} ({planned.target_digest})", err=True)
    existing, attached = plan.count(SAME), len(plan.referrers) + plan.referrers_more
    click.echo(f"{len(plan.steps)} tags, {existing} there already, {attached} attached", err=True)


def _print_report(copy: Copy) -> None:
    for outcome, count in runner.outcomes_of(copy).items():
        click.echo(f"{count} {outcome}", err=True)
    query = select(CopyLine).where(
        CopyLine.work_id == copy.id, CopyLine.outcome.not_in(SUCCESSFUL_OUTCOMES)
    )
    for line in db.session.scalars(query.order_by(CopyLine.number)):
        click.echo(f"{line.outcome}  {line.reference}: {line.detail}", err=True)
    if copy.state != "done":
        raise click.ClickException("Not everything was copied.")
