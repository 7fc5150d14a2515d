"""Which blueprint answers where, and the converters that read names from a URL."""

from __future__ import annotations

from flask import Flask
from werkzeug.routing import BaseConverter, ValidationError

from . import names
from .accounts.routes import blueprint as accounts
from .admin.adoption_routes import blueprint as adoption
from .admin.collection_routes import blueprint as collections
from .admin.routes import blueprint as admin
from .admin.unassigned_copy_routes import blueprint as unassigned_copies
from .api.retention import blueprint as api
from .catalog import connection, page_calls
from .events import service as events_service
from .events.routes import blueprint as events
from .gate import service as gate_service
from .gate.routes import blueprint as gate
from .projects.activity_routes import blueprint as activity
from .projects.bin_routes import blueprint as bin_of_tags
from .projects.deploy_token_routes import blueprint as deploy_tokens
from .projects.move_routes import blueprint as moves
from .projects.protection_routes import blueprint as protection
from .projects.retention_routes import blueprint as retention
from .projects.routes import blueprint as projects
from .projects.storage_routes import blueprint as storage
from .registry.compare_routes import blueprint as compare
from .registry.content_routes import blueprint as content
from .registry.copy_routes import blueprint as copies
from .registry.removal_routes import blueprint as removals
from .registry.routes import blueprint as registry
from .search.routes import blueprint as search
from .site import blueprint as site
from .token_auth import proof
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


class DigestConverter(BaseConverter):
    """A whole digest."""

    regex = names.DIGEST


def init_app(app: Flask) -> None:
    """Register converters, the registry connection and every blueprint."""
    app.url_map.converters["name"] = NameConverter
    app.url_map.converters["tag"] = TagConverter
    app.url_map.converters["digest"] = DigestConverter
    connection.init_app(app, app.config["SETTINGS"])
    page_calls.init_app(app)
    proof.init_app(app)
    gate_service.init_app(app)
    events_service.init_app(app)
    pages = (
        site,
        accounts,
        admin,
        adoption,
        unassigned_copies,
        collections,
        compare,
        decisions,
        deploy_tokens,
        moves,
        protection,
        bin_of_tags,
        retention,
        activity,
        storage,
        registry,
        content,
        copies,
        removals,
        search,
        projects,
    )
    for blueprint in (token_auth, events, gate, api, *pages):
        app.register_blueprint(blueprint)
