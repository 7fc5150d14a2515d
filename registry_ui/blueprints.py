"""Which blueprint answers where, and the converters that read names from a URL."""

from __future__ import annotations

from flask import Flask
from werkzeug.routing import BaseConverter, ValidationError

from . import names
from .accounts.routes import blueprint as accounts
from .admin.routes import blueprint as admin
from .api.removals import blueprint as api
from .catalog import connection
from .events.routes import blueprint as events
from .projects.bin_routes import blueprint as bin_of_tags
from .projects.deploy_token_routes import blueprint as deploy_tokens
from .projects.retention_routes import blueprint as retention
from .projects.routes import blueprint as projects
from .registry.removal_routes import blueprint as removals
from .registry.routes import blueprint as registry
from .site import blueprint as site
from .token_auth.pages import blueprint as decisions
from .token_auth.routes import blueprint as token_auth


class NameConverter(BaseConverter):
    """A whole name with its slashes: a slash is a slash, never ``%2F``.

    ``/-/`` can't be part of one, so what follows it in a URL is unambiguous.
    """

    regex = names.NAME
    part_isolating = False

    def to_python(self, value: str) -> str:
        """Return a name that fits the grammar and the length."""
        try:
            return str(names.RepositoryName(value))
        except names.NameInvalid:
            raise ValidationError from None

    def to_url(self, value: str) -> str:
        """Names need no quoting."""
        return str(value)


class TagConverter(BaseConverter):
    """A tag."""

    regex = names.TAG


def init_app(app: Flask) -> None:
    """Register converters, the registry connection and every blueprint."""
    app.url_map.converters["name"] = NameConverter
    app.url_map.converters["tag"] = TagConverter
    connection.init_app(app, app.config["SETTINGS"])
    pages = (
        site,
        accounts,
        admin,
        decisions,
        deploy_tokens,
        bin_of_tags,
        retention,
        registry,
        removals,
        projects,
    )
    for blueprint in (token_auth, events, api, *pages):
        app.register_blueprint(blueprint)
