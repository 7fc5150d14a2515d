"""Web application beside a stock OCI registry: projects, roles, access tokens, and pages."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from config import ROOT, Config

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def create_app(config: Config | None = None) -> Flask:
    """Build the Flask application.

    Args:
        config: the settings; read from the environment if None.

    Raises:
        config.ConfigError: a setting is missing or unusable.
    """
    config = config or Config.from_environ()
    app = Flask(
        __name__,
        template_folder=str(ROOT / "templates"),
        static_folder=str(ROOT / "static"),
    )
    app.config.update(_flask_settings(config))
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    _add_middleware(app, config)
    for module in (*_request_modules(), *_service_modules(), *_entry_points()):
        module.init_app(app)
    return app


# The functions below import modules when they are called, so that packages that don't need Flask
# can be imported without it. The modules are initialized in this order.


def _request_modules() -> tuple[ModuleType, ...]:
    """Return the database module, and the modules that act on every request."""
    from .db import session
    from .http import (
        compression,
        converters,
        error_handlers,
        identity,
        old_addresses,
        page_context,
        query_args,
        security_headers,
    )
    from .web import templating

    return (
        session,
        identity,
        security_headers,
        error_handlers,
        old_addresses,
        page_context,
        query_args,
        compression,
        converters,
        templating,
    )


def _service_modules() -> tuple[ModuleType, ...]:
    """Return the modules that call the registry, check credentials, or answer the registry."""
    from . import page_call_budget, registry_connection
    from .accounts import failing_blocks, password_cache, password_checks, throttle
    from .events import service as events
    from .gate import service as gate
    from .token_auth import decision_log, verifier

    return (
        registry_connection,
        page_call_budget,
        password_cache,
        throttle,
        password_checks,
        failing_blocks,
        decision_log,
        verifier,
        gate,
        events,
    )


def _entry_points() -> tuple[ModuleType, ...]:
    """Return the modules of the jobs, pages, and commands."""
    from . import blueprints, cli
    from .jobs import setup as jobs

    return (jobs, blueprints, cli)


def _flask_settings(config: Config) -> dict[str, Any]:
    """Return the configuration of Flask and its extensions."""
    from .http import session_cookie

    return {
        "SETTINGS": config,
        "SECRET_KEY": config.secret_key,
        "SQLALCHEMY_DATABASE_URI": config.database_url,
        "SQLALCHEMY_ENGINE_OPTIONS": {
            "pool_pre_ping": not config.database_url.startswith("sqlite")
        },
        "MAX_CONTENT_LENGTH": config.max_body,
        "MAX_FORM_MEMORY_SIZE": config.max_body,
        "WTF_CSRF_TIME_LIMIT": None,
        "TESTING": config.testing,
        **session_cookie.settings_for(config.public_url),
    }


def _add_middleware(app: Flask, config: Config) -> None:
    """Wrap the application in WSGI middleware. The last wrapper sees a request first."""
    from .http import admission, client_address, security_headers
    from .token_auth.endpoint import TokenEndpoint

    headers = {**security_headers.headers_for(config), "Cache-Control": "no-store"}.items()
    wsgi: WSGIApplication = TokenEndpoint(app, app.wsgi_app, headers)
    if config.trusted_proxies:
        count = config.trusted_proxies
        wsgi = client_address.ClientAddress(wsgi)
        wsgi = ProxyFix(wsgi, x_for=count, x_proto=count, x_host=count)
    if not config.testing:  # test clients don't close responses, which would use up all slots
        wsgi = admission.Admission(wsgi, headers)
    app.wsgi_app = wsgi  # type: ignore[assignment, method-assign]  # Flask's own way to wrap
