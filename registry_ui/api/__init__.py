"""JSON REST API for programs, which send credentials with each request or are anonymous."""

from __future__ import annotations

from flask import Blueprint

from ..db.session import csrf

blueprint = Blueprint("api", __name__, url_prefix="/api/v4")
csrf.exempt(blueprint)

# Each module adds its routes to the blueprint when it is imported.
from . import (
    authentication,
    copies,
    garbage_collections,
    images,
    moves,
    projects,
    registry,
    removals,
    retention,
)

__all__ = [
    "authentication",
    "blueprint",
    "copies",
    "garbage_collections",
    "images",
    "moves",
    "projects",
    "registry",
    "removals",
    "retention",
]
