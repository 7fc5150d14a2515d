"""Commands that copy a tag, or an image with its tags."""

from __future__ import annotations

import click
from sqlalchemy import select

from ..access import Role
from ..access.lookup import owning_project
from ..audit import CONSOLE
from ..copies import service as copies
from ..copies.plan import OVERWRITES, REFUSED, SAME, CopyPlan, CopyRequest
from ..copies.planner import plan_copy
from ..copies.steps import GOOD
from ..copies.unassigned import is_unassigned, tags_of_unassigned
from ..db.session import db
from ..models import Copy, CopyLine, Project
from ..names import Reference, RepositoryName
from ..operations import runner
from ..operations.write_freeze import WORDS
from ..patterns.glob import TAGS
from ..patterns.retention import parse_pattern
from ..tags.selection import Criteria, choose
from .errors import clear_errors
from .images import image_named, tag
from .removals import DRY_RUN, YES, image

OVERWRITE = click.option("--overwrite", is_flag=True, help="Overwrite tags of the target.")
ALONE = click.option("--alone", is_flag=True, help="Without signatures and the like.")


@tag.command("copy")
@click.argument("source")
@click.argument("target")
@OVERWRITE
@ALONE
@DRY_RUN
@YES
@clear_errors
def tag_copy(source: str, target: str, **how: bool) -> None:
    """Copy the tag SOURCE (group/project/image:tag) to TARGET, under the same or another name."""
    one, other = Reference.parse(source), Reference.parse(target)
    if one.tag is None or one.digest is not None or other.digest is not None:
        raise click.UsageError("SOURCE is group/project/image:tag, TARGET the same or without tag")
    tags = {str(one.tag): str(other.tag or one.tag)}
    attached = not how.pop("alone")
    wish = CopyRequest("tag", *_source(one.name), _project(other.name), other.name, tags, attached)
    _carry_out(wish, **how)


@image.command("copy")
@click.argument("source")
@click.argument("target")
@click.option("--matching", default="", metavar="GLOBS", help="Only tags that match: v*, latest.")
@OVERWRITE
@ALONE
@DRY_RUN
@YES
@clear_errors
def image_copy(source: str, target: str, matching: str, **how: bool) -> None:
    """Copy the tags of the image SOURCE (group/project/image) to TARGET.

    SOURCE can be a repository that no project owns.
    """
    pattern = parse_pattern("glob", matching, TAGS, "matching") if matching else None
    path, owner = _source(RepositoryName(source))
    if owner:
        names = choose(image_named(RepositoryName(path))[0], Criteria(pattern=pattern))
    else:
        every = tags_of_unassigned(RepositoryName(path))
        names = {tag for tag in every if pattern is None or pattern.matches(tag)}
    if not names:
        raise click.ClickException("No tag fits.")
    name = RepositoryName(target)
    tags = {chosen: chosen for chosen in names}
    kind, attached = "tags" if matching else "image", not how.pop("alone")
    _carry_out(CopyRequest(kind, path, owner, _project(name), name, tags, attached), **how)


def _source(name: RepositoryName) -> tuple[str, str]:
    """Return the path of a repository and the path of its project ("" if it is unassigned)."""
    if is_unassigned(db.session(), name):
        return str(name), ""
    found, owner = image_named(name)
    return found.path, owner.path


def _project(repository: RepositoryName) -> Project:
    project = owning_project(db.session(), str(repository))
    if project is None:
        raise click.ClickException(f"No project owns {repository}. Create one first.")
    return project


def _carry_out(wish: CopyRequest, *, overwrite: bool, dry_run: bool, yes: bool) -> None:
    plan = plan_copy(wish, Role.OWNER)
    _print(plan, overwrite=overwrite)
    if dry_run:
        return
    if not yes:
        click.confirm("Copy them?", abort=True, err=True)
    copy_id = copies.save_plan(CONSOLE, wish, plan).id
    copies.start_planned(CONSOLE, copy_id, overwrite=overwrite)
    done = copies.run(copy_id)
    fence = runner.stopped(db.session(), Copy, copy_id)
    if fence is not None:
        raise click.ClickException(f"It waits until {WORDS[fence.reason]}; a worker goes on then.")
    if done is None:
        raise click.ClickException("A worker is at it already.")
    _report(done)


def _print(plan: CopyPlan, *, overwrite: bool) -> None:
    """Print the tags to copy, one per line, and remarks for people on stderr."""
    for step in plan.steps:
        click.echo(f"{step.repository}:{step.tag}")
    for planned in plan.tags:
        reference = f"{plan.target}:{planned.tag}"
        if planned.state == REFUSED:
            click.echo(f"refused  {reference}: {planned.why}", err=True)
        elif planned.state == OVERWRITES:
            verb = "replaces" if overwrite else "keeps   "
            click.echo(f"{verb} {reference} ({planned.there})", err=True)
    same, along = plan.count(SAME), len(plan.referrers) + plan.referrers_more
    click.echo(f"{len(plan.steps)} tags, {same} there already, {along} attached", err=True)


def _report(copy: Copy) -> None:
    for outcome, count in runner.outcomes_of(copy).items():
        click.echo(f"{count} {outcome}", err=True)
    query = select(CopyLine).where(CopyLine.work_id == copy.id, CopyLine.outcome.not_in(GOOD))
    for line in db.session.scalars(query.order_by(CopyLine.number)):
        click.echo(f"{line.outcome}  {line.reference}: {line.detail}", err=True)
    if copy.state != "done":
        raise click.ClickException("Not everything was copied.")
