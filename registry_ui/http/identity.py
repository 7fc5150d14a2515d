"""Identity of the caller: browser sessions, the current principal, and sign-in checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import flask_login
from flask import Flask, current_app, g, redirect, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response as BaseResponse

from ..access import (
    ANONYMOUS,
    Principal,
)
from ..accounts import sessions
from ..accounts.authentication import principal_of
from ..audit import Actor
from ..db.session import login_manager
from ..errors import NotFound
from ..models import User
from .session_cookie import PageSessions

View = TypeVar("View", bound=Callable[..., Any])


def init_app(app: Flask) -> None:
    """Set up browser sessions and the function that loads the signed-in user."""
    app.session_interface = PageSessions()
    login_manager.login_view = "accounts.sign_in"
    login_manager.session_protection = None  # The cookie is signed, and client addresses change.

    @login_manager.user_loader
    def load_user(identity: str) -> User | None:
        return sessions.find(identity)


def login_required(view: View) -> View:
    """Decorate a view so that visitors who are not signed in are sent to the sign-in page."""
    decorated: View = flask_login.login_required(view)
    return decorated


def principal() -> Principal:
    """Return the principal of the current request: the signed-in user, or ANONYMOUS.

    In the API, this is the principal of the request's credentials, which the API stores in ``g``.
    """
    if "principal" in g:
        api_principal: Principal = g.principal
        return api_principal
    if not current_user.is_authenticated:
        return ANONYMOUS
    return principal_of(current_user)


def actor() -> Actor:
    """Return the user name and client address of the caller, for the audit log."""
    return Actor(principal().username, request.remote_addr or "")


def sign_in_first() -> BaseResponse | None:
    """Return a redirect to the sign-in page for a visitor without a session, otherwise None."""
    if current_user.is_authenticated:
        return None
    target = request.full_path if request.method == "GET" else "/"
    return redirect(url_for("accounts.sign_in", next=target.rstrip("?")))


def administrators_only() -> BaseResponse | None:
    """Admit only administrators to a page (``before_request`` hook of the admin area).

    Returns:
        A redirect to the sign-in page for a visitor without a session; None for an administrator.

    Raises:
        NotFound: the user is not an administrator, so the admin area stays hidden.
    """
    if (redirection := sign_in_first()) is not None:
        return redirection
    if not principal().is_admin:
        raise NotFound
    return None


def registry_host() -> str:
    """Return the host name of the registry for clients, with its port if it has one."""
    host: str = current_app.config["SETTINGS"].registry_host
    return host
