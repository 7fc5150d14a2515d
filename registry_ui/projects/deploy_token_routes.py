"""Deploy tokens of a namespace or project: list, create, revoke. For its Maintainers."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_login import login_required
from werkzeug.wrappers import Response

from ..access import Right, decide, standings
from ..access.lookup import prefixes
from ..accounts.tokens import TokenRequest, end_of_day
from ..errors import Invalid
from ..extensions import db
from ..pages import crumbs
from ..security import Loaded, actor, load, principal
from . import deploy_tokens

blueprint = Blueprint("deploy_tokens", __name__)


@blueprint.get("/<name:path>/-/deploy-tokens")
@login_required
def show(path: str) -> str:
    """List the deploy tokens that hold here: its own, and those of what is above."""
    return _page(load(path, Right.CONFIGURE))


@blueprint.post("/<name:path>/-/deploy-tokens")
@login_required
def create(path: str) -> str | tuple[str, int]:
    """Make a deploy token and show its secret this once."""
    loaded, form = load(path, Right.CONFIGURE), request.form
    try:
        made = deploy_tokens.create(
            actor(),
            path,
            TokenRequest(
                form.get("name", ""), form.getlist("scopes"), end_of_day(form.get("expires_on", ""))
            ),
        )
    except Invalid as error:
        values = {
            "name": form.get("name", ""),
            "scopes": form.getlist("scopes"),
            "expires_on": form.get("expires_on", ""),
        }
        return _page(loaded, errors=error.errors, values=values), error.status
    return _page(loaded, made=made)


@blueprint.post("/<name:path>/-/deploy-tokens/<int(max=2147483647):token_id>/revoke")
@login_required
def revoke(path: str, token_id: int) -> Response:
    """Revoke a deploy token of this very place."""
    load(path, Right.CONFIGURE)
    name = deploy_tokens.revoke(actor(), path, token_id)
    flash(f"The deploy token “{name}” was revoked.", "success")
    return redirect(url_for("deploy_tokens.show", path=path))


def _page(
    loaded: Loaded,
    errors: dict[str, str] | None = None,
    values: Mapping[str, object] | None = None,
    made: deploy_tokens.NewDeployToken | None = None,
) -> str:
    path = loaded.place.path
    who = principal()
    above = standings(db.session(), who, prefixes(path)[:-1])
    return render_template(
        "deploy_tokens.html",
        node=loaded.place,
        crumbs=crumbs(path),
        can=loaded.can,
        tokens=deploy_tokens.tokens_of(path),
        # Who looks after what lies above may go there; others only see what holds here.
        linked={p for p, here in above.items() if decide(who, here, Right.CONFIGURE).allowed},
        made=made,
        errors=errors or {},
        values=values or {},
    )
