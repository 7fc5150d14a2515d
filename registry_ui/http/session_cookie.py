"""The cookie of a browser's session, and which addresses have none."""

from __future__ import annotations

from typing import Any

from flask import Flask, Request, Response, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from itsdangerous import BadSignature

#: The name of the cookie without https.
COOKIE = "registry_ui"
#: With https. A browser takes a cookie of such a name from this host alone, by https, and for
#: the whole site: no other host of the domain can set it.
HOST_COOKIE = f"__Host-{COOKIE}"
#: Marks a session that has been in a HOST_COOKIE: by the other name it is somebody else's work.
MARK = "_host"

#: For machines: no cookie is read or written there.
MACHINE_PREFIXES = ("/jwt/", "/auth/", "/gate/", "/api/", "/static/", "/v2/")
MACHINE_PATHS = ("/healthz", "/readyz")


def settings_for(public_url: str) -> dict[str, Any]:
    """Return Flask's settings of the cookie."""
    is_https = public_url.startswith("https://")
    return {
        "SESSION_COOKIE_NAME": HOST_COOKIE if is_https else COOKIE,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_SECURE": is_https,
        "SESSION_COOKIE_PATH": "/",
        "PERMANENT_SESSION_LIFETIME": 14 * 24 * 3600,
    }


def _for_machines(path: str) -> bool:
    return path in MACHINE_PATHS or path.startswith(MACHINE_PREFIXES)


class PageSessions(SecureCookieSessionInterface):
    """Browser sessions for pages; an empty one for machines, which is never stored."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Read the session of a page's cookie; nothing else's."""
        if _for_machines(request.path):
            return SecureCookieSession()
        if self._renamed(app) and self.get_cookie_name(app) not in request.cookies:
            return self._from_before(app, request)
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Write the session back where one was read."""
        if _for_machines(request.path):
            return
        if self._renamed(app):
            if session and MARK not in session:
                session[MARK] = True
            if COOKIE in request.cookies:
                response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="Lax")
        super().save_session(app, session, response)

    def _renamed(self, app: Flask) -> bool:
        return self.get_cookie_name(app) == HOST_COOKIE

    def _from_before(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session of a cookie that was set before cookies had their present name.

        Nobody is signed out by the new name. What was signed under it is refused under the old
        one: another host of the domain could set that, for somebody else's session.
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
        return SecureCookieSession() if MARK in data else SecureCookieSession(data)
