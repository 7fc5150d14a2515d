"""Pages for Maintainers to delete tags and images: preview, confirm, progress, and report.

A removal is a stored operation that deletes tags or images, step by step, in a worker. Deleted tags
stay in the trash for some days unless the user chooses to delete them permanently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from ..access import Permission
from ..db.session import db
from ..errors import Invalid
from ..http.identity import actor, login_required
from ..http.loaders import ResolvedPlace, load_image, load_planned, load_removal
from ..http.query_args import crumbs, page_number
from ..jobs.queue import enqueue
from ..models import ContainerImage, Removal
from ..names import TagName
from ..operations.runner import outcomes_of
from ..operations.write_freeze import AWAITED_EVENTS
from ..patterns.glob import TAGS, Glob
from ..patterns.retention import parse_pattern
from ..projects import listing
from ..removals import runner
from ..removals.plan import RemovalOptions, RemovalPlan
from ..removals.planned_manifests import record_missing_subjects
from ..removals.planned_tags import show_page
from ..removals.planner import plan_image, plan_tag, plan_tags
from ..removals.service import find_obstacle, require_no_obstacle, save_plan, start, start_planned
from ..removals.steps import IN_TRASH
from ..retention import service as retention
from ..tags.match_counts import describe_chosen
from ..tags.selection import Criteria, UnknownTags, choose, days
from ..trash import service as trash

blueprint = Blueprint("removals", __name__)

Answer = str | Response | tuple[str, int]

CHANGED_MESSAGE = "Something was pushed since you saw the preview. Look again."
REFUSED_MESSAGE = "Nothing was deleted: a protection rule keeps it."
#: Timeout in seconds for registry calls within an HTTP request; after it, the worker takes over.
REMOVAL_TIMEOUT = 5.0
#: Maximum number of lines of a removal's report that the page shows.
MAX_LINES = 200


@dataclass(frozen=True, slots=True)
class _PreviewLinks:
    """Addresses in the preview of a removal: of its form (``action``) and of the previous page."""

    action: str
    back: str


@blueprint.route(
    "/<name:path>/-/tags/<tag:tag>/-/delete", defaults={"name": ""}, methods=["GET", "POST"]
)
@blueprint.route(
    "/<name:path>/-/images/<name:name>/-/tags/<tag:tag>/-/delete", methods=["GET", "POST"]
)
@login_required
def delete_tag(path: str, name: str, tag: str) -> Answer:
    """Show the preview for deleting a single tag; on POST, delete the tag."""
    loaded, row = load_image(path, name, Permission.DELETE)
    attached, trash_days = bool(request.values.get("attached")), _get_trash_days()
    # On POST, only the form's checkbox counts, because it confirms that protection rules are
    # overridden. The query string can only make the preview show that option.
    despite_rules = request.form if request.method == "POST" else request.args
    plan = plan_tag(
        row,
        TagName(tag),
        RemovalOptions(
            attached=attached,
            trash_days=trash_days,
            role=loaded.acting_role,
            despite_rules=bool(despite_rules.get("despite_rules")),
        ),
    )
    errors: dict[str, str] = {}
    if request.method == "POST":
        require_no_obstacle(db.session(), plan.kind, plan.target, loaded.project)
        if plan.all_refused:
            errors["form"] = REFUSED_MESSAGE
        elif request.form.get("digest") == plan.digest:
            return _delete_and_redirect(loaded, row, plan)
        else:
            errors["digest"] = CHANGED_MESSAGE
    links = _PreviewLinks(
        action=url_for("removals.delete_tag", path=path, name=name, tag=tag),
        back=url_for("registry.tag", path=path, name=name, tag=tag),
    )
    return _render_preview(loaded, plan, links, errors)


def _delete_and_redirect(
    loaded: ResolvedPlace, image: ContainerImage, plan: RemovalPlan
) -> Response:
    """Delete a tag; redirect to the image, or to the removal if the worker has to finish it.

    Redirect to the project if that was the last tag, because an image without tags has no page.
    """
    path, name = loaded.place.path, image.name
    started = start(actor(), plan, loaded.project)
    removal = runner.run(started.id, timeout=REMOVAL_TIMEOUT)
    if removal is None or removal.state != "done":
        return redirect(url_for("removals.show", path=path, removal_id=started.id))
    outcome = removal.lines[0].outcome
    if outcome == IN_TRASH:
        outcome = "deleted; you can restore it from the trash"
    flash(f"{plan.target}: {outcome}.", "success")
    row = db.session.get(ContainerImage, image.id, populate_existing=True)
    if row is None or row.emptied_at is not None:
        return redirect(url_for("projects.show", path=path))
    return redirect(url_for("registry.image", path=path, name=name))


@blueprint.route("/<name:path>/-/images/-/delete", defaults={"name": ""}, methods=["GET", "POST"])
@blueprint.route("/<name:path>/-/images/<name:name>/-/delete", methods=["GET", "POST"])
@login_required
def delete_image(path: str, name: str) -> Answer:
    """Show the preview for deleting an image with all its tags; on POST, delete the image.

    The user has to type the path of the image to confirm.
    """
    loaded, row = load_image(path, name, Permission.DELETE)
    plan = plan_image(row, trash_days=_get_trash_days(), role=loaded.acting_role)
    errors: dict[str, str] = {}
    if request.method == "POST":
        if plan.all_refused:
            errors["form"] = REFUSED_MESSAGE
        elif request.form.get("confirm") != row.path:
            errors["confirm"] = f"Type {row.path} to confirm."
        elif request.form.get("digest", plan.digest) != plan.digest:
            errors["digest"] = CHANGED_MESSAGE
        else:
            removal = start(actor(), plan, loaded.project)
            enqueue("run_removal", removal.id)
            return redirect(url_for("removals.show", path=path, removal_id=removal.id))
    links = _PreviewLinks(
        action=url_for("removals.delete_image", path=path, name=name),
        back=url_for("registry.image", path=path, name=name),
    )
    return _render_preview(loaded, plan, links, errors, confirm_text=row.path)


@blueprint.route(
    "/<name:path>/-/images/-/delete-tags", defaults={"name": ""}, methods=["GET", "POST"]
)
@blueprint.route("/<name:path>/-/images/<name:name>/-/delete-tags", methods=["GET", "POST"])
@login_required
def delete_tags(path: str, name: str) -> Answer:
    """Show the form that selects tags of an image to delete; on POST, store a plan and show it.

    Nothing is deleted until the user confirms the plan.
    """
    loaded, row = load_image(path, name, Permission.DELETE)
    errors: dict[str, str] = {}
    values = request.values
    chosen = values.getlist("chosen")
    if request.method == "POST":
        try:
            planned = _plan_chosen(loaded, row)
        except UnknownTags as error:
            errors = {"form": error.errors["tags"]}
            chosen = [name for name in chosen if name not in error.names]
        except Invalid as error:
            errors = error.errors or {"form": error.message}
        else:
            return redirect(url_for("removals.show", path=path, removal_id=planned.id))
    page = render_template(
        "delete_tags.html",
        project=loaded.project,
        crumbs=crumbs(path),
        image=listing.image_row(row),
        chosen=chosen,
        none_ticked=bool(request.args.get("ticked")) and not chosen,
        everything=bool(values.get("all")),
        values={field: values.get(field, "") for field in ("q", "pattern", "kind", "days")},
        matches=_describe_matches(row, values) if request.method == "POST" else "",
        attached=bool(values.get("attached")),
        orphans=bool(values.get("orphans")),
        trash_days=trash.days(),
        for_good=bool(values.get("for_good")),
        errors=errors,
    )
    return page, 422 if errors else 200


@blueprint.get("/<name:path>/-/images/-/delete-tags/matches", defaults={"name": ""})
@blueprint.get("/<name:path>/-/images/<name:name>/-/delete-tags/matches")
@login_required
def delete_tags_matches(path: str, name: str) -> str:
    """Return an HTML fragment that says how many tags the form selects, shown while typing."""
    _, row = load_image(path, name, Permission.DELETE)
    return render_template("_matches.html", text=_describe_matches(row, request.args))


def _describe_matches(image: ContainerImage, values: MultiDict[str, str]) -> str:
    """Return a sentence that says how many tags the form selects, or which value is invalid.

    Return an empty string if the form has no criteria for tags.
    """
    try:
        criteria = _parse_criteria(values)
    except Invalid as error:
        return " ".join(error.errors.values())
    return describe_chosen(image, criteria) if criteria else ""


def _parse_criteria(values: MultiDict[str, str]) -> Criteria:
    """Return the criteria that select the tags to delete, parsed from the form.

    Raises:
        Invalid: the pattern or the number of days is not valid.
    """
    chosen = [] if values.get("all") else values.getlist("chosen")
    text = values.get("pattern", "").strip()
    return Criteria(
        names=chosen,
        q="" if chosen else values.get("q", "").strip()[:128],
        pattern=parse_pattern(values.get("kind") or Glob.kind, text, TAGS) if text else None,
        older_than=days(values.get("days", ""), "days"),
        orphans=bool(values.get("orphans")) and not chosen,
    )


def _plan_chosen(loaded: ResolvedPlace, image: ContainerImage) -> Removal:
    """Plan the removal of the tags that the form selects, and store the plan.

    Raises:
        Invalid: the form has no criteria, no tag matches the criteria, or a value is not valid.
        UnknownTags: the image has no tag with one of the chosen names.
    """
    form = request.form
    criteria = _parse_criteria(form)
    if not criteria and not form.get("all"):
        raise Invalid("Say which tags: by a pattern, by their age, or choose them in the list.")
    names = choose(image, criteria)
    if not names:
        raise Invalid("No tags match. Nothing was planned.")
    plan = plan_tags(
        "tags",
        image.path,
        [(image, names)],
        RemovalOptions(
            attached=bool(form.get("attached")),
            trash_days=_get_trash_days(),
            role=loaded.acting_role,
        ),
    )
    if criteria.orphans:
        record_missing_subjects(plan, [(image, names)])
    return save_plan(actor(), plan, loaded.project)


def _get_trash_days() -> int:
    """Return the number of days to keep deleted tags in the trash; 0 to delete them permanently."""
    return 0 if request.values.get("for_good") else trash.days()


def _render_preview(
    loaded: ResolvedPlace,
    plan: RemovalPlan,
    links: _PreviewLinks,
    errors: dict[str, str],
    confirm_text: str | None = None,
) -> Answer:
    """Render the preview of a removal.

    Args:
        loaded: the project of the tag or image.
        plan: the plan of the removal.
        links: the addresses of the form and of the previous page.
        errors: an error message for each invalid form field.
        confirm_text: text that the user has to type to confirm; None if a click is enough.
    """
    url_values = request.view_args or {}
    page = render_template(
        "removal_preview.html",
        project=loaded.project,
        crumbs=crumbs(loaded.place.path),
        image_name=url_values.get("name", ""),
        tag=url_values.get("tag", ""),
        plan=plan,
        obstacle=find_obstacle(db.session(), plan.kind, plan.target, loaded.project),
        confirm_text=confirm_text,
        action=links.action,
        back=links.back,
        trash_days=trash.days(),
        for_good=bool(request.values.get("for_good")),
        attached=bool(request.values.get("attached")),
        errors=errors,
        can=loaded.can,
    )
    return page, 422 if errors else 200


@blueprint.get("/<name:path>/-/removals/<int(max=2147483647):removal_id>")
@login_required
def show(path: str, removal_id: int) -> str:
    """Show a removal: plan, progress, and report, even if its namespace or project is deleted."""
    row, loaded = load_removal(path, removal_id)
    freeze = runner.find_blocking_freeze(db.session(), row.id)
    plan = RemovalPlan.of_preview(row.preview) if row.preview else None
    plan_variables: dict[str, Any] = {}
    if row.state == "planned" and loaded and plan:
        plan_variables = {
            "obstacle": find_obstacle(db.session(), row.kind, row.target, loaded.place),
            "page": show_page(row, plan, page_number()),
            "policy": retention.tried_policy(loaded.place, plan) if plan.policy else None,
        }
    return render_template(
        "removal.html",
        place=loaded.place if loaded else None,
        crumbs=crumbs(path),
        path=path,
        removal=row,
        waits_until=AWAITED_EVENTS[freeze.reason] if freeze else "",
        plan=plan,
        outcomes=outcomes_of(row),
        report=runner.lines_of(row, MAX_LINES),
        **plan_variables,
    )


@blueprint.post("/<name:path>/-/removals/<int(max=2147483647):removal_id>/confirm")
@login_required
def confirm(path: str, removal_id: int) -> Response:
    """Start a planned removal, exactly as shown in its plan."""
    row, loaded = load_planned(path, removal_id)
    despite_rules = bool(request.form.get("despite_rules"))
    started = start_planned(
        actor(), row.id, loaded.place, loaded.acting_role, despite_rules=despite_rules
    )
    enqueue("run_removal", started.id)
    return redirect(url_for("removals.show", path=path, removal_id=removal_id))


@blueprint.post("/<name:path>/-/removals/<int(max=2147483647):removal_id>/cancel")
@login_required
def cancel(path: str, removal_id: int) -> Response:
    """Stop a running removal before its next step, or discard a planned removal."""
    row, _ = load_removal(path, removal_id)
    runner.cancel(actor(), row.id)
    return redirect(url_for("removals.show", path=path, removal_id=removal_id))
