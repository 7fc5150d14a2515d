"""All Flask blueprints of the app: endpoints for machines, the API, and the pages."""

from __future__ import annotations

from flask import Flask

from . import api
from .endpoints import gate, health, jwks, registry_address, registry_events
from .web import (
    accounts,
    activity,
    admin,
    adoption,
    compare,
    copies,
    decisions,
    deploy_tokens,
    garbage_collection,
    images,
    moves,
    projects,
    protection,
    removals,
    retention,
    roles,
    search,
    storage,
    tag_content,
    trash,
    unassigned_copies,
)

ENDPOINTS = (jwks, registry_events, gate, health, registry_address)
PAGES = (
    accounts,
    admin,
    adoption,
    unassigned_copies,
    garbage_collection,
    roles,
    compare,
    decisions,
    deploy_tokens,
    moves,
    protection,
    trash,
    retention,
    activity,
    storage,
    images,
    tag_content,
    copies,
    removals,
    search,
    projects,
)


def init_app(app: Flask) -> None:
    """Register every blueprint with the app."""
    for module in (*ENDPOINTS, api, *PAGES):
        app.register_blueprint(module.blueprint)
