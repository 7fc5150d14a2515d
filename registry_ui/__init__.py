"""A companion for a stock registry: projects, rights, tokens, pages."""

from __future__ import annotations

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from config import ROOT, Config

from .http.client_address import ClientAddress

__version__ = "0.1.0"


def create_app(config: Config | None = None) -> Flask:
    """Build the application.

    Args:
        config: the settings; read from the environment where None.

    Raises:
        config.ConfigError: a setting is missing or unusable.
    """
    # Not at the top: the packages without Flask can be imported without all the others.
    from . import blueprints, cli  # noqa: PLC0415
    from .accounts import failing_blocks, password_cache, password_checks, throttle  # noqa: PLC0415
    from .db import session  # noqa: PLC0415
    from .http import (  # noqa: PLC0415
        admission,
        compression,
        error_handlers,
        loaders,
        query_args,
        security_headers,
        session_cookie,
    )
    from .jobs import tasks  # noqa: PLC0415
    from .token_auth import decision_log  # noqa: PLC0415
    from .token_auth.endpoint import TokenDoor  # noqa: PLC0415
    from .web import templating  # noqa: PLC0415

    config = config or Config.from_environ()
    app = Flask(
        __name__,
        template_folder=str(ROOT / "templates"),
        static_folder=str(ROOT / "static"),
    )
    app.config.update(
        SETTINGS=config,
        SECRET_KEY=config.secret_key,
        SQLALCHEMY_DATABASE_URI=config.database_url,
        SQLALCHEMY_ENGINE_OPTIONS={"pool_pre_ping": not config.database_url.startswith("sqlite")},
        MAX_CONTENT_LENGTH=config.max_body,
        MAX_FORM_MEMORY_SIZE=config.max_body,
        **session_cookie.settings_for(config.public_url),
        WTF_CSRF_TIME_LIMIT=None,
        TESTING=config.testing,
    )
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    headers = {**security_headers.headers_for(config), "Cache-Control": "no-store"}
    app.wsgi_app = TokenDoor(app, app.wsgi_app, headers.items())  # type: ignore[method-assign]
    if config.trusted_proxies:
        count = config.trusted_proxies
        app.wsgi_app = ClientAddress(app.wsgi_app)  # type: ignore[method-assign]
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]
    if not config.testing:  # test clients do not end their requests
        app.wsgi_app = admission.Admission(app.wsgi_app, headers.items())  # type: ignore[method-assign]
    session.init_app(app)
    loaders.init_app(app)
    security_headers.init_app(app)
    error_handlers.init_app(app)
    query_args.init_app(app)
    templating.init_app(app)
    compression.init_app(app)
    tasks.init_app(app)
    decision_log.init_app(app)
    password_cache.init_app(app)
    throttle.init_app(app)
    password_checks.init_app(app)
    failing_blocks.init_app(app)
    blueprints.init_app(app)
    cli.init_app(app)
    return app
