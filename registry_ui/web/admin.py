"""Pages of the admin area. All pages are for administrators only; other users get NotFound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ..accounts import service as accounts
from ..accounts import unseen_secrets
from ..catalog.pull_through import is_cache
from ..db.session import db
from ..distribution.configuration import notifications_snippet
from ..enumerations import name_some
from ..errors import Invalid
from ..events import registry_token as tokens
from ..events.service import refusals
from ..health import health, queue_health
from ..http.identity import actor, administrators_only, principal, registry_host
from ..http.query_args import page_number, search_text
from ..jobs.queue import enqueue
from ..projects.service import places_without_manager
from ..registry_connection import registry
from ..token_auth import decision_queries
from . import admin_reports
from .decision_filters import decisions_page, flush_decisions, read_filters

blueprint = Blueprint("admin", __name__, url_prefix="/-/admin")

#: Name under which ``unseen_secrets`` keeps the registry token until a page shows it.
SUBJECT = "registry token"


blueprint.before_request(administrators_only)

#: Words that say whether the registry can delete a tag by name; the key None means unknown.
DELETE_BY_TAG = {
    None: "not known yet",
    True: "yes",
    False: "not supported: a placeholder is used",
}


@dataclass(frozen=True, slots=True)
class CountRow:
    """A labeled number on the overview page, and the address of the counted list, or ""."""

    label: str
    number: int
    url: str


@dataclass(frozen=True, slots=True)
class HealthRow:
    """Result of the health check of one component, such as the registry or the worker."""

    name: str
    is_healthy: bool
    detail: str


@blueprint.get("", strict_slashes=False)
def overview() -> str:
    """Show the health of the system, and the numbers of users, projects, images, and tags."""
    counts = admin_reports.counts()
    urls = {
        "Users": url_for("admin.users"),
        "Unassigned": url_for("admin.unassigned"),
        "Projects": url_for("projects.home"),
    }
    checks = health() + queue_health()
    version = next((detail for name, ok, detail in checks if name == "registry" and ok), None)
    keys = current_app.extensions["signer"].ring.views()
    return render_template(
        "admin_overview.html",
        health=[HealthRow(*check) for check in checks],
        counts=[CountRow(label, number, urls.get(label, "")) for label, number in counts],
        has_images=any(number for label, number in counts if label in {"Images", "Unassigned"}),
        last_event_at=admin_reports.last_event_at(),
        waiting_events=admin_reports.waiting_events(),
        registry={
            "version": version,
            "url": current_app.config["SETTINGS"].registry_url,
            "is_cache": is_cache(),
            "delete_by_tag": DELETE_BY_TAG[admin_reports.deletes_by_tag() if version else None],
        },
        gate={
            "expected": current_app.config["SETTINGS"].gate,
            "asked_at": admin_reports.gate_asked_at(),
        },
        fresh_at=admin_reports.reconciled_at(),
        old_repositories=admin_reports.stale_images(),
        clock_problem=registry().clock_problem,
        keys=keys,
        active_key=next((key for key in keys if key.part == "active"), None),
        next_key=next((key for key in keys if key.part == "next"), None),
    )


@blueprint.post("/reconcile")
def reconcile_all() -> Response:
    """Ask the worker to compare the index (stored copy of all tags) with the whole registry."""
    enqueue("reconcile_all")
    flash("The worker compares every repository with the index now.", "info")
    return redirect(url_for("admin.overview"))


@blueprint.get("/registry-token")
def registry_token() -> str:
    """Show the registry token (the secret that authenticates the registry's notifications).

    The token is masked unless it was just revealed or reset. The page also shows whether
    notifications arrive.
    """
    return _render_registry_token(unseen_secrets.take(SUBJECT) if "shown" in request.args else None)


@blueprint.get("/registry-token/reveal")
@blueprint.get("/registry-token/reset")
def registry_token_form() -> Response:
    """Redirect a GET of a POST-only address, for example on a reload, to the token's page."""
    return redirect(url_for("admin.registry_token"))


@blueprint.post("/registry-token/reveal")
def reveal_registry_token() -> Response:
    """Reveal the current registry token: redirect to its page, which shows it unmasked once."""
    return _show_once(tokens.reveal(actor()))


@blueprint.post("/registry-token/reset")
def reset_registry_token() -> Response:
    """Create a new registry token; the old one stays valid until the registry uses the new one."""
    return _show_once(tokens.reset(actor()))


@blueprint.post("/registry-token/revoke-previous")
def revoke_previous_registry_token() -> Response:
    """Revoke the previous registry token before its grace period ends."""
    tokens.revoke_previous(actor())
    flash("The previous registry token was revoked.", "success")
    return redirect(url_for("admin.registry_token"))


def _show_once(secret: str) -> Response:
    unseen_secrets.keep(SUBJECT, secret)
    return redirect(url_for("admin.registry_token", shown=1))


def _render_registry_token(revealed: str | None) -> str:
    current, previous = tokens.views()
    refused, total = refusals()
    events_url = current_app.config["SETTINGS"].events_url
    return render_template(
        "admin_registry_token.html",
        current=current,
        previous=previous,
        revealed=revealed,
        last_event_at=admin_reports.last_event_at(),
        refused=refused,
        refused_total=total,
        snippet=notifications_snippet(events_url, revealed or "REGISTRY_TOKEN"),
        events_url=events_url,
    )


@blueprint.route("/users", methods=["GET", "POST"])
def users() -> Response | tuple[str, int]:
    """List the users; on POST, create a user."""
    form, errors, status = request.form, dict[str, str](), 200
    if request.method == "POST":
        try:
            user = accounts.create_user(
                actor(),
                form.get("username", "").strip(),
                form.get("password", ""),
                is_admin=form.get("is_admin") == "1",
            )
        except Invalid as error:
            errors, status = error.errors, error.status
        else:
            flash(
                f"The user “{user.username}” was created. Their images are called"
                f" {registry_host()}/{user.username}/….",
                "success",
            )
            return redirect(url_for("admin.users"))
    q = request.args.get("q", "").strip()[:100]
    rows, page = admin_reports.users(q, page_number())
    values = {"username": form.get("username", ""), "is_admin": form.get("is_admin") == "1"}
    content = render_template(
        "admin_users.html",
        users=rows,
        page=page,
        q=q,
        errors=errors,
        values=values,
    )
    return content, status


#: Actions for a user, by name in the form: a function, its argument ``on``, and a message.
ACTIONS: dict[str, tuple[Any, bool, str]] = {
    "block": (accounts.set_blocked, True, "was blocked and signed out."),
    "unblock": (accounts.set_blocked, False, "may sign in again."),
    "promote": (accounts.set_admin, True, "is an administrator now."),
    "demote": (accounts.set_admin, False, "is no longer an administrator."),
    "tokens_only": (accounts.set_tokens_only, True, "needs a token for docker login now."),
    "passwords": (accounts.set_tokens_only, False, "may use the password for docker login again."),
}


@blueprint.post("/users/<name:username>")
def change_user(username: str) -> Response:
    """Apply one of ACTIONS to a user, such as blocking them or making them an administrator."""
    action = request.form.get("action", "")
    if action not in ACTIONS:
        raise Invalid("There is no such action.", hint=f"Choose one of {', '.join(ACTIONS)}.")
    change, on, message = ACTIONS[action]
    change(actor(), username, on=on)
    flash(f"{username} {message}", "success")
    if action == "block" and (places := places_without_manager(db.session(), username)):
        names = name_some(places)
        flash(f"Only administrators can manage these now: {names}.", "warning")
    return redirect(url_for("admin.users"))


@blueprint.get("/unassigned")
def unassigned() -> str:
    """List the unassigned repositories: those in the registry that belong to no project."""
    q = search_text()
    rows, page = admin_reports.unassigned(q, page_number())
    return render_template("admin_unassigned.html", rows=rows, page=page, q=q)


@blueprint.get("/events")
def events() -> str:
    """List the events that the registry sent as notifications, newest first."""
    status = request.args.get("status", "")
    rows, page = admin_reports.events(status, page_number())
    return render_template("admin_events.html", events=rows, page=page, status=status)


@blueprint.get("/audit")
def audit() -> str:
    """List the entries of the audit log, newest first."""
    entries, page = admin_reports.audit(page_number())
    return render_template("admin_audit.html", entries=entries, page=page)


@blueprint.get("/decisions")
def decisions() -> str:
    """List the token decisions (recorded answers of the token endpoint), newest first."""
    flush_decisions()
    filters = read_filters()
    return decisions_page(
        "all", decision_queries.all_decisions(db.session(), principal(), filters), filters
    )
