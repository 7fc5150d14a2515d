"""Who asks: the session of a browser, and what only some may see."""

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
    """Register the loader of a browser's session."""
    app.session_interface = PageSessions()
    login_manager.login_view = "accounts.sign_in"
    login_manager.session_protection = None  # the cookie is signed; addresses change

    @login_manager.user_loader
    def load_user(identity: str) -> User | None:
        return sessions.find(identity)


def login_required(view: View) -> View:
    """Decorate a view that only people who signed in may see; others are sent to sign in."""
    decorated: View = flask_login.login_required(view)
    return decorated


def principal() -> Principal:
    """Return who looks at a page: the signed-in user, or nobody.

    The API puts its own principal, from the credentials of the request, into ``g``.
    """
    if "principal" in g:
        found: Principal = g.principal
        return found
    if not current_user.is_authenticated:
        return ANONYMOUS
    return principal_of(current_user)


def actor() -> Actor:
    """Return who acts, for the audit."""
    return Actor(principal().username, request.remote_addr or "")


def sign_in_first() -> BaseResponse | None:
    """Send a visitor without a session to the sign-in page; None for everyone else."""
    if current_user.is_authenticated:
        return None
    target = request.full_path if request.method == "GET" else "/"
    return redirect(url_for("accounts.sign_in", next=target.rstrip("?")))


def administrators_only() -> BaseResponse | None:
    """Send visitors to the sign-in page; tell everyone else that there is nothing.

    Stands before every page of the admin area.
    """
    if (away := sign_in_first()) is not None:
        return away
    if not principal().is_admin:
        raise NotFound
    return None


def registry_host() -> str:
    """Return the registry's name in commands, as clients reach it."""
    host: str = current_app.config["SETTINGS"].registry_host
    return host
