"""Add security headers, such as a strict content security policy, to every response."""

from __future__ import annotations

from flask import Flask, Response, request

from config import Config

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)

#: Security headers of every response.
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def headers_for(config: Config) -> dict[str, str]:
    """Return the security headers of every response, with HSTS if the site uses HTTPS."""
    if not config.public_url.startswith("https://"):
        return HEADERS
    return {**HEADERS, "Strict-Transport-Security": f"max-age={config.hsts_seconds}"}


def init_app(app: Flask) -> None:
    """Add the security headers to every response, and headers that control caching."""
    common_headers = headers_for(app.config["SETTINGS"])

    @app.after_request
    def harden(response: Response) -> Response:
        headers = response.headers
        for name, value in common_headers.items():
            headers.setdefault(name, value)
        if request.endpoint != "static":
            headers.setdefault("Cache-Control", "no-store")
        elif "v" in request.args and response.status_code == 200:
            # The address contains a hash of the content, so the content never changes.
            headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
