"""The session cookie of browsers, and the paths for machines, which do not use the cookie."""

from __future__ import annotations

from typing import Any

from flask import Flask, Request, Response, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from itsdangerous import BadSignature

#: Name of the session cookie without HTTPS.
COOKIE = "registry_ui"
#: Name of the session cookie with HTTPS. A browser accepts a ``__Host-`` cookie only from the
#: host itself, so no other host of the domain can set the cookie.
HOST_COOKIE = f"__Host-{COOKIE}"
#: Session key that marks a session stored in HOST_COOKIE. A marked session in COOKIE is rejected,
#: because a different host of the domain can have set that cookie.
HOST_MARK = "_host"

#: Paths for machines, which neither read nor write a session cookie.
MACHINE_PREFIXES = ("/jwt/", "/auth/", "/gate/", "/api/", "/static/", "/v2/")
MACHINE_PATHS = ("/healthz", "/readyz")


def settings_for(public_url: str) -> dict[str, Any]:
    """Return Flask's settings for the session cookie of a site with this public URL."""
    is_https = public_url.startswith("https://")
    return {
        "SESSION_COOKIE_NAME": HOST_COOKIE if is_https else COOKIE,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_SECURE": is_https,
        "SESSION_COOKIE_PATH": "/",
        "PERMANENT_SESSION_LIFETIME": 14 * 24 * 3600,
    }


def _is_for_machines(path: str) -> bool:
    return path in MACHINE_PATHS or path.startswith(MACHINE_PREFIXES)


class PageSessions(SecureCookieSessionInterface):
    """Session interface for pages; paths for machines get an empty session that is not stored."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session in the request's cookie; an empty one on a path for machines."""
        if _is_for_machines(request.path):
            return SecureCookieSession()
        if self._has_host_cookie(app) and self.get_cookie_name(app) not in request.cookies:
            return self._open_old_session(app, request)
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Store the session in the response's cookie, except on a path for machines."""
        if _is_for_machines(request.path):
            return
        if self._has_host_cookie(app):
            if session and HOST_MARK not in session:
                session[HOST_MARK] = True
            if COOKIE in request.cookies:
                response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="Lax")
        super().save_session(app, session, response)

    def _has_host_cookie(self, app: Flask) -> bool:
        return self.get_cookie_name(app) == HOST_COOKIE

    def _open_old_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session in COOKIE, used before HOST_COOKIE, so that no user is signed out.

        A session that was stored in HOST_COOKIE is rejected here: a different host of the domain
        can set COOKIE, to plant the session of a different user.
        """
        serializer = self.get_signing_serializer(app)
        value = request.cookies.get(COOKIE)
        if serializer is None or value is None:
            return super().open_session(app, request)
        try:
            data = serializer.loads(
                value, max_age=int(app.permanent_session_lifetime.total_seconds())
            )
        except BadSignature:
            data = {}
        return SecureCookieSession() if HOST_MARK in data else SecureCookieSession(data)
