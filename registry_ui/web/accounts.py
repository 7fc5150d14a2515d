"""Pages to sign in and out, and the user's profile with access tokens and Docker sessions.

A Docker session is a refresh token that ``docker login`` stores instead of a password.
"""

from __future__ import annotations

from collections.abc import Mapping

from flask import (
    Blueprint,
    current_app,
    flash,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask_login import current_user, login_user, logout_user
from werkzeug.wrappers import Response

from ..accounts import docker_sessions, service, unseen_secrets
from ..accounts.authentication import Attempt, verify_account
from ..accounts.secrets import MAX_PASSWORD
from ..accounts.tokens import TokenRequest, end_of_day
from ..audit import Actor
from ..errors import Invalid
from ..http.identity import actor, login_required
from ..models import User

blueprint = Blueprint("accounts", __name__)

WRONG_CREDENTIALS = "The user name or the password is wrong."


@blueprint.route("/-/sign-in", methods=["GET", "POST"])
def sign_in() -> Response | str | tuple[str, int]:
    """Show the sign-in form; on POST, sign in with a user name and password."""
    target = _validate_target(request.values.get("next", ""))
    if current_user.is_authenticated:
        return redirect(target)
    if request.method != "POST":
        return render_template("sign_in.html", username="", next=target, errors={})
    username = request.form.get("username", "").strip()
    password = request.form.get("password", "")[: MAX_PASSWORD + 1]
    address = request.remote_addr or ""
    user = verify_account(Attempt(username, password, address))
    if user is None:
        page = render_template(
            "sign_in.html", username=username, next=target, errors={"password": WRONG_CREDENTIALS}
        )
        return page, 401
    session.clear()  # Discard data that an earlier user left in the browser's session.
    session.permanent = True
    login_user(service.sign_in(Actor(user.username, address), user))
    return redirect(target)


@blueprint.post("/-/sign-out")
def sign_out() -> Response:
    """Sign the user out: end the session of this browser, but no other sessions of the user."""
    if key := session.get("_user_id"):
        service.sign_out(key)
    logout_user()
    session.clear()
    return redirect(url_for("projects.home"))


@blueprint.get("/-/profile")
@login_required
def profile() -> str:
    """Show the user's account, access tokens, Docker sessions, and once a new token's secret."""
    return _render_profile(created=request.args.get("created", type=int))


@blueprint.get("/-/profile/password")
@blueprint.get("/-/profile/tokens")
@login_required
def profile_form() -> Response:
    """Redirect a GET of a form's POST-only address, for example on a reload, to the profile."""
    return redirect(url_for("accounts.profile"))


@blueprint.post("/-/profile/password")
@login_required
def change_password() -> Response | tuple[str, int]:
    """Change the signed-in user's password, and end all their other sessions."""
    user = _get_current_user()
    try:
        browser = service.change_password(
            actor(),
            user,
            request.form.get("current_password", ""),
            request.form.get("new_password", ""),
        )
    except Invalid as error:
        return _render_profile(errors=error.errors), error.status
    login_user(browser)
    flash("Your password was changed. You were signed out everywhere else.", "success")
    return redirect(url_for("accounts.profile"))


@blueprint.post("/-/profile/tokens")
@login_required
def create_token() -> Response | tuple[str, int]:
    """Create an access token, and redirect to the profile, which shows the token's secret once."""
    form = request.form
    # A page from before an update has the old names of these fields, ``reach`` and ``reach_exact``.
    restriction = form.get("restriction") or form.get("reach", "")
    is_exact = "1" in (form.get("restriction_exact"), form.get("reach_exact"))
    try:
        created = service.create_access_token(
            actor(),
            _get_current_user(),
            TokenRequest(
                form.get("name", ""),
                form.getlist("scopes"),
                end_of_day(form.get("expires_on", "")),
                restriction,
                restriction_exact=is_exact,
            ),
        )
    except Invalid as error:
        values = {
            "name": form.get("name", ""),
            "scopes": form.getlist("scopes"),
            "expires_on": form.get("expires_on", ""),
            "restriction": restriction,
            "restriction_exact": is_exact,
        }
        return _render_profile(errors=error.errors, values=values), error.status
    unseen_secrets.keep(_subject_from_token_id(created.id), created.secret)
    return redirect(url_for("accounts.profile", created=created.id))


@blueprint.post("/-/profile/tokens/<int(max=2147483647):token_id>/revoke")
@login_required
def revoke_token(token_id: int) -> Response:
    """Revoke one of the signed-in user's own access tokens."""
    service.revoke_access_token(actor(), _get_current_user(), token_id)
    flash("The access token was revoked.", "success")
    return redirect(url_for("accounts.profile"))


@blueprint.post("/-/profile/docker-sessions/<int(max=2147483647):session_id>/revoke")
@login_required
def revoke_docker_session(session_id: int) -> Response:
    """Revoke one of the signed-in user's own Docker sessions."""
    docker_sessions.revoke(actor(), _get_current_user(), session_id)
    flash("The docker session was revoked. That client has to sign in again.", "success")
    return redirect(url_for("accounts.profile"))


@blueprint.post("/-/profile/docker-sessions/revoke")
@login_required
def revoke_all_docker_sessions() -> Response:
    """Revoke all Docker sessions of the signed-in user."""
    docker_sessions.revoke_all(actor(), _get_current_user())
    flash("Every docker session was revoked. Clients have to sign in again.", "success")
    return redirect(url_for("accounts.profile"))


def _get_current_user() -> User:
    user: User = current_user._get_current_object()  # noqa: SLF001 - the session wants the row
    return user


def _render_profile(
    errors: dict[str, str] | None = None,
    values: Mapping[str, object] | None = None,
    created: int | None = None,
) -> str:
    user, settings = _get_current_user(), current_app.config["SETTINGS"]
    tokens = service.access_tokens(user)
    created_token = next((token for token in tokens if token.id == created), None)
    refused_by = "everyone" if settings.tokens_only else "user" if user.tokens_only else None
    return render_template(
        "profile.html",
        user=user,
        tokens=tokens,
        token_names={token.id: token.name for token in tokens},
        sessions=docker_sessions.sessions_of(user),
        sessions_off=not settings.docker_sessions,
        passwords_refused=refused_by,
        created_token=created_token,
        secret=unseen_secrets.take(_subject_from_token_id(created_token.id))
        if created_token
        else None,
        errors=errors or {},
        values=values or {},
    )


def _subject_from_token_id(token_id: int) -> str:
    return f"access token {token_id}"


def _validate_target(target: str) -> str:
    """Return the address to open after signing in.

    Return the address of the home page if ``target`` is not a path on this site.
    """
    # Require a path that starts with a single slash. Browsers remove control characters and then
    # read // and /\ as the start of a host name, which would redirect to a different site.
    is_path = target.startswith("/") and not target.startswith("//")
    is_safe = target.isprintable() and "\\" not in target
    return target if is_path and is_safe else url_for("projects.home")
