"""Sign in and out; the profile with its access tokens."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask_login import current_user, login_required, login_user, logout_user
from werkzeug.wrappers import Response

from ..audit import Actor
from ..errors import Invalid
from ..models import User
from ..security import actor
from . import service
from .authentication import verify_account
from .secrets import MAX_PASSWORD

blueprint = Blueprint("accounts", __name__)

WRONG = "The user name or the password is wrong."


@blueprint.route("/-/sign-in", methods=["GET", "POST"])
def sign_in() -> Response | str | tuple[str, int]:
    """Sign in with the account's password."""
    target = _own_address(request.values.get("next", ""))
    if current_user.is_authenticated:
        return redirect(target)
    if request.method != "POST":
        return render_template("sign_in.html", username="", next=target, errors={})
    username = request.form.get("username", "").strip()
    password = request.form.get("password", "")[: MAX_PASSWORD + 1]
    address = request.remote_addr or ""
    user = verify_account(username, password, address)
    if user is None:
        page = render_template(
            "sign_in.html", username=username, next=target, errors={"password": WRONG}
        )
        return page, 401
    session.clear()  # nothing of an earlier visitor's session goes on
    session.permanent = True
    login_user(service.sign_in(Actor(user.username, address), user))
    return redirect(target)


@blueprint.post("/-/sign-out")
def sign_out() -> Response:
    """End this browser's session."""
    if key := session.get("_user_id"):
        service.sign_out(key)
    logout_user()
    session.clear()
    return redirect(url_for("projects.home"))


@blueprint.get("/-/profile")
@login_required
def profile() -> str:
    """Show the account and its access tokens."""
    return _profile()


@blueprint.post("/-/profile/password")
@login_required
def change_password() -> Response | tuple[str, int]:
    """Change the password; every other session ends."""
    user = _me()
    try:
        browser = service.change_password(
            actor(),
            user,
            request.form.get("current_password", ""),
            request.form.get("new_password", ""),
        )
    except Invalid as error:
        return _profile(errors=error.errors), error.status
    login_user(browser)
    flash("Your password was changed. You were signed out everywhere else.", "success")
    return redirect(url_for("accounts.profile"))


@blueprint.post("/-/profile/tokens")
@login_required
def create_token() -> str | tuple[str, int]:
    """Make an access token and show it this once."""
    form = request.form
    try:
        secret = service.create_access_token(
            actor(),
            _me(),
            form.get("name", ""),
            form.getlist("scopes"),
            _end_of(form.get("expires_on", "")),
        )
    except Invalid as error:
        values = {
            "name": form.get("name", ""),
            "scopes": form.getlist("scopes"),
            "expires_on": form.get("expires_on", ""),
        }
        return _profile(errors=error.errors, values=values), error.status
    return _profile(new_token=secret)


@blueprint.post("/-/profile/tokens/<int(max=2147483647):token_id>/revoke")
@login_required
def revoke_token(token_id: int) -> Response:
    """Revoke one of one's own tokens."""
    service.revoke_access_token(actor(), _me(), token_id)
    flash("The access token was revoked.", "success")
    return redirect(url_for("accounts.profile"))


def _me() -> User:
    user: User = current_user._get_current_object()  # noqa: SLF001 - the session wants the row
    return user


def _profile(
    errors: dict[str, str] | None = None,
    values: Mapping[str, object] | None = None,
    new_token: str | None = None,
) -> str:
    user = _me()
    return render_template(
        "profile.html",
        user=user,
        tokens=[
            {
                "id": token.id,
                "name": token.name,
                "scopes": token.scope_names,
                "created_at": token.created_at,
                "expires_at": token.expires_at,
                "last_used_at": token.last_used_at,
                "revoked_at": token.revoked_at,
                "is_active": token.is_active,
            }
            for token in service.access_tokens(user)
        ],
        new_token=new_token,
        errors=errors or {},
        values=values or {},
    )


def _end_of(day: str) -> datetime | None:
    """Return the end of a day (``2027-01-31``) in UTC; None for none."""
    if not day.strip():
        return None
    try:
        return datetime.combine(datetime.fromisoformat(day.strip()).date(), time.max, UTC)
    except ValueError:
        message = "Write the day as 2027-01-31."
        raise Invalid("The token was not made.", {"expires_on": message}) from None


def _own_address(target: str) -> str:
    """Return where to go after signing in: only ever an address of this site."""
    # One slash and then a path: browsers read // and /\ as another host, and drop control
    # characters before they look.
    own = target.startswith("/") and not target.startswith("//")
    plain = target.isprintable() and "\\" not in target
    return target if own and plain else url_for("projects.home")
