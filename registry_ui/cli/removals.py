"""Commands that delete tags, images, projects, and namespaces, and run retention policies."""

from __future__ import annotations

from dataclasses import dataclass

import click
from flask.cli import AppGroup
from sqlalchemy import select

from ..access import Role
from ..audit import CONSOLE
from ..db.session import db
from ..errors import NotFound
from ..formatting import outcome_label
from ..models import Place, Removal
from ..names import RepositoryName
from ..operations.runner import outcomes_of
from ..patterns.glob import TAGS
from ..patterns.retention import parse_pattern
from ..removals.places import plan_place
from ..removals.plan import RemovalOptions, RemovalPlan
from ..removals.planned_manifests import record_missing_subjects
from ..removals.planner import plan_image, plan_tags
from ..removals.service import start
from ..retention import service as policies
from ..retention.rules import Rules
from ..tags.selection import Criteria, choose, days
from ..trash import service as trash
from .errors import clear_errors
from .images import carry_out_removal, find_image, print_remarks
from .options import DRY_RUN, FOR_GOOD, YES, group_options
from .places import namespace, project

tags = AppGroup("tags", help="Several tags at once.")
image = AppGroup("image", help="Images.")
retention = AppGroup("retention", help="Retention policies.")


@dataclass(frozen=True, slots=True)
class TagsDeleteOptions:
    """Values of the options of the command ``tags delete``; see the help of the command."""

    matching: str
    regex: str
    older_than: str
    orphans: bool
    attached: bool
    for_good: bool


@tags.command("delete")
@click.argument("repository")
@click.option("--matching", default="", metavar="GLOBS", help="Tags that match: v*, latest.")
@click.option("--regex", default="", metavar="RE2", help="The same, as a regular expression.")
@click.option("--older-than", default="", metavar="DAYS", help="Pushed or built before.")
@click.option("--orphans", is_flag=True, help="Signatures and the like whose image is gone.")
@click.option("--attached", is_flag=True, help="Signatures and the like go too.")
@FOR_GOOD
@DRY_RUN
@YES
@group_options(TagsDeleteOptions)
@clear_errors
def tags_delete(repository: str, options: TagsDeleteOptions, *, dry_run: bool, yes: bool) -> None:
    """Delete the tags of REPOSITORY that match all given options."""
    criteria = _parse_criteria(options)
    row, owner = find_image(RepositoryName(repository))
    names = choose(row, criteria)
    if not names:
        raise click.ClickException("No tag fits.")
    plan = plan_tags(
        "tags",
        row.path,
        [(row, names)],
        RemovalOptions(
            attached=options.attached,
            trash_days=0 if options.for_good else trash.days(),
            role=Role.OWNER,
        ),
    )
    if criteria.orphans:
        record_missing_subjects(plan, [(row, names)])
    _carry_out(plan, owner, dry_run=dry_run, yes=yes)


def _parse_criteria(options: TagsDeleteOptions) -> Criteria:
    """Return the criteria for the tags to delete.

    Raises:
        click.UsageError: the options contain no criteria, or contradict each other.
    """
    if options.matching and options.regex:
        raise click.UsageError("--matching or --regex, not both")
    kind = "regex" if options.regex else "glob"
    text = options.matching or options.regex
    criteria = Criteria(
        pattern=parse_pattern(kind, text, TAGS) if text else None,
        older_than=days(options.older_than, "older_than"),
        orphans=options.orphans,
    )
    if not criteria:
        raise click.UsageError("--matching, --regex, --older-than or --orphans")
    return criteria


@image.command("delete")
@click.argument("repository")
@FOR_GOOD
@DRY_RUN
@YES
@clear_errors
def image_delete(repository: str, *, for_good: bool, dry_run: bool, yes: bool) -> None:
    """Delete REPOSITORY with all its tags."""
    row, owner = find_image(RepositoryName(repository))
    plan = plan_image(row, trash_days=0 if for_good else trash.days(), role=Role.OWNER)
    _carry_out(plan, owner, dry_run=dry_run, yes=yes)


@project.command("delete")
@click.argument("path")
@DRY_RUN
@YES
@clear_errors
def project_delete(path: str, *, dry_run: bool, yes: bool) -> None:
    """Delete the project PATH with all its images, without the trash."""
    _delete_place("project", path, dry_run=dry_run, yes=yes)


@namespace.command("delete")
@click.argument("path")
@DRY_RUN
@YES
@clear_errors
def namespace_delete(path: str, *, dry_run: bool, yes: bool) -> None:
    """Delete the namespace PATH with everything in it, without the trash."""
    _delete_place("namespace", path, dry_run=dry_run, yes=yes)


def _delete_place(kind: str, path: str, *, dry_run: bool, yes: bool) -> None:
    place = _find_place(path)
    if place.kind != kind:
        raise click.ClickException(f"“{path}” is a {place.kind}.")
    _carry_out(plan_place(place, Role.OWNER), place, dry_run=dry_run, yes=yes)


@retention.command("plan")
@click.argument("path")
@clear_errors
def retention_plan(path: str) -> None:
    """Print what each policy of the namespace or project PATH would delete now."""
    place = _find_place(path)
    for policy in policies.policies_of(place):
        state = "on" if policy.is_enabled else "off"
        click.echo(f"policy {policy.id} ({state}), images {policy.images}:", err=True)
        plan = policies.plan_of(place, Rules.of(policy))
        _print_plan(plan)


@retention.command("run")
@click.argument("path")
@clear_errors
def retention_run(path: str) -> None:
    """Run the enabled policies of the namespace or project PATH now."""
    for policy in policies.policies_of(_find_place(path)):
        if not policy.is_enabled:
            continue
        started = policies.run(CONSOLE, policy.id)
        if started is None:
            problem = policies.policy(_find_place(path), policy.id).last_problem
            problem = problem or f"Policy {policy.id} is off."
            raise click.ClickException(problem)
        _print_report(carry_out_removal(started.id))


def _find_place(path: str) -> Place:
    place = db.session.scalar(select(Place).where(Place.path == path))
    if place is None:
        raise NotFound(f"There is no namespace and no project “{path[:255]}”.")
    return place


def _print_plan(plan: RemovalPlan) -> None:
    """Print the tags that a plan deletes, one per line, and remarks for people on stderr.

    Tags in the trash that the plan deletes permanently are not listed.
    """
    for step in plan.steps:
        for tag in () if step.kind == "purge" else step.tag_names:
            click.echo(f"{step.repository}:{tag}")
    print_remarks(plan)
    click.echo(f"{plan.tag_count} tags, {plan.manifests} manifests", err=True)


def _carry_out(plan: RemovalPlan, place: Place, *, dry_run: bool, yes: bool) -> None:
    _print_plan(plan)
    if dry_run:
        return
    if not yes:
        click.confirm("Delete them?", abort=True, err=True)
    _print_report(carry_out_removal(start(CONSOLE, plan, place).id))


def _print_report(removal: Removal) -> None:
    for outcome, count in outcomes_of(removal).items():
        click.echo(f"{count} {outcome_label(outcome)}", err=True)
    if removal.state != "done":
        last = removal.lines[-1]
        raise click.ClickException(f"{last.reference}: {last.detail}")
