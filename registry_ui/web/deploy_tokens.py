"""Pages for Maintainers to list, create, and revoke the deploy tokens of a namespace or project.

A deploy token is a credential for machines that belongs to a namespace or project, not to a user.
"""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ..access import Permission, decide, path_accesses
from ..access.lookup import prefixes
from ..accounts import unseen_secrets
from ..accounts.tokens import TokenRequest, end_of_day
from ..db.session import db
from ..errors import Invalid
from ..http.identity import actor, login_required, principal
from ..http.loaders import ResolvedPlace, load
from ..http.query_args import crumbs
from ..projects import deploy_tokens

blueprint = Blueprint("deploy_tokens", __name__)


@blueprint.get("/<name:path>/-/deploy-tokens")
@login_required
def show(path: str) -> str:
    """List the deploy tokens of a namespace or project and of the namespaces above it.

    After a deploy token was created, its secret is shown once.
    """
    return _render_page(
        load(path, Permission.CONFIGURE), created=request.args.get("created", type=int)
    )


@blueprint.post("/<name:path>/-/deploy-tokens")
@login_required
def create(path: str) -> Response | tuple[str, int]:
    """Create a deploy token, and redirect to the page that shows the token's secret once."""
    loaded, form = load(path, Permission.CONFIGURE), request.form
    try:
        created = deploy_tokens.create(
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
        return _render_page(loaded, errors=error.errors, values=values), error.status
    unseen_secrets.keep(_subject_from_token_id(created.id), created.secret)
    return redirect(url_for("deploy_tokens.show", path=path, created=created.id))


@blueprint.post("/<name:path>/-/deploy-tokens/<int(max=2147483647):token_id>/revoke")
@login_required
def revoke(path: str, token_id: int) -> Response:
    """Revoke a deploy token that belongs to exactly this namespace or project."""
    load(path, Permission.CONFIGURE)
    name = deploy_tokens.revoke(actor(), path, token_id)
    flash(f"The deploy token “{name}” was revoked.", "success")
    return redirect(url_for("deploy_tokens.show", path=path))


def _render_page(
    loaded: ResolvedPlace,
    errors: dict[str, str] | None = None,
    values: Mapping[str, object] | None = None,
    created: int | None = None,
) -> str:
    path = loaded.place.path
    tokens = deploy_tokens.tokens_of(path)
    created_token = next(
        (row for row, origin in tokens if row.id == created and origin == path), None
    )
    caller = principal()
    parent_accesses = path_accesses(db.session(), caller, prefixes(path)[:-1])
    return render_template(
        "deploy_tokens.html",
        node=loaded.place,
        crumbs=crumbs(path),
        can=loaded.can,
        tokens=tokens,
        # Maintainers of a namespace above get a link to it; others see only its valid tokens.
        linked={
            parent
            for parent, access in parent_accesses.items()
            if decide(caller, access, Permission.CONFIGURE).allowed
        },
        created_token=created_token,
        secret=unseen_secrets.take(_subject_from_token_id(created_token.id))
        if created_token
        else None,
        errors=errors or {},
        values=values or {},
    )


def _subject_from_token_id(token_id: int) -> str:
    return f"deploy token {token_id}"
