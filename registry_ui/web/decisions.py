"""Pages that explain answers of the token endpoint: token decisions, and the access check.

A token decision is a recorded answer of the token endpoint to a client. The access check says what
a user could do in a repository now, and why.
"""

from __future__ import annotations

from flask import Blueprint, current_app, render_template, request

from ..access import Permission
from ..accounts import service as accounts
from ..accounts.subjects import Subject, find_subject, subject_with_token
from ..db.session import db
from ..errors import Denied, Invalid, NotFound
from ..http.identity import login_required, principal, registry_host
from ..http.loaders import load
from ..http.query_args import crumbs, query_text
from ..models import AccessToken, User
from ..token_auth import decision_queries
from ..token_auth.access_check import explain_to, repository_named
from .decision_filters import decisions_page, flush_decisions, read_filters

blueprint = Blueprint("decisions", __name__)


@blueprint.get("/-/decisions")
@login_required
def own_decisions() -> str:
    """Show the token decisions about the signed-in user's own requests."""
    flush_decisions()
    filters = read_filters()
    return decisions_page(
        "own", decision_queries.own_decisions(db.session(), principal(), filters), filters
    )


@blueprint.get("/<name:path>/-/decisions")
@login_required
def of_place(path: str) -> str:
    """Show the token decisions about a namespace or project, for its Maintainers."""
    loaded = load(path, Permission.CONFIGURE)
    flush_decisions()
    filters = read_filters()
    listing = decision_queries.place_decisions(db.session(), principal(), loaded.place, filters)
    return decisions_page(
        "place", listing, filters, node=loaded.place, crumbs=crumbs(path), can=loaded.can
    )


@blueprint.get("/-/access-check")
@login_required
def access_check() -> str | tuple[str, int]:
    """Show which actions (pull, push, delete) a user can take in a repository, and the reasons."""
    caller = principal()
    username = query_text("user") if "user" in request.args else caller.username
    repository_text = request.args.get("repository", "").strip()[:512]
    errors, explanation, status = dict[str, str](), None, 200
    if repository_text:
        try:
            repository = repository_named(repository_text, registry_host())
            explanation = explain_to(db.session(), caller, _find_subject(username), repository)
        except Invalid as error:
            errors, status = error.errors, error.status
        except Denied as error:
            errors, status = {"user": error.message}, error.status
    user = db.session.get(User, caller.user_id)
    page = render_template(
        "access_check.html",
        username=username,
        repository=repository_text,
        token=request.args.get("token", ""),
        tokens=[] if user is None else active_tokens(user),
        explanation=explanation,
        errors=errors,
    )
    return page, status


def active_tokens(user: User) -> list[AccessToken]:
    """Return the access tokens of a user that are neither revoked nor expired."""
    return [token for token in accounts.access_tokens(user) if token.is_active]


def _find_subject(username: str) -> Subject:
    """Return the subject of an access check: a user, or the signed-in user with an access token.

    The query string can name the id of the access token.

    Raises:
        Invalid: the access token does not belong to the signed-in user.
    """
    caller, token = principal(), request.args.get("token", "")
    is_number = token.isascii() and token.isdigit() and len(token) < 10
    if is_number and username.lower() == caller.username:
        try:
            return subject_with_token(db.session(), caller, int(token))
        except NotFound:
            message = "That is none of your access tokens."
            raise Invalid("The question makes no sense.", {"token": message}) from None
    allow_passwords = not current_app.config["SETTINGS"].tokens_only
    return find_subject(db.session(), username, passwords=allow_passwords)
