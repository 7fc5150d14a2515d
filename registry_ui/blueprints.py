"""Which blueprint answers where, and the converters that read names from a URL."""

from __future__ import annotations

from flask import Flask
from werkzeug.routing import BaseConverter, ValidationError

from . import names, registry_connection
from . import page_call_budget as call_budget
from .api.retention import blueprint as api
from .endpoints.gate import blueprint as gate
from .endpoints.health import blueprint as health
from .endpoints.jwks import blueprint as token_auth
from .endpoints.registry_address import blueprint as registry_address
from .endpoints.registry_events import blueprint as events
from .events import service as events_service
from .gate import service as gate_service
from .token_auth import verifier
from .web.accounts import blueprint as accounts
from .web.activity import blueprint as activity
from .web.admin import blueprint as admin
from .web.adoption import blueprint as adoption
from .web.compare import blueprint as compare
from .web.copies import blueprint as copies
from .web.decisions import blueprint as decisions
from .web.deploy_tokens import blueprint as deploy_tokens
from .web.garbage_collection import blueprint as collections
from .web.help import blueprint as help_pages
from .web.images import blueprint as registry
from .web.moves import blueprint as moves
from .web.projects import blueprint as projects
from .web.protection import blueprint as protection
from .web.removals import blueprint as removals
from .web.retention import blueprint as retention
from .web.search import blueprint as search
from .web.storage import blueprint as storage
from .web.tag_content import blueprint as content
from .web.trash import blueprint as bin_of_tags
from .web.unassigned_copies import blueprint as unassigned_copies


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
    registry_connection.init_app(app, app.config["SETTINGS"])
    call_budget.init_app(app)
    verifier.init_app(app)
    gate_service.init_app(app)
    events_service.init_app(app)
    pages = (
        help_pages,
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
    for blueprint in (token_auth, events, gate, health, registry_address, api, *pages):
        app.register_blueprint(blueprint)
