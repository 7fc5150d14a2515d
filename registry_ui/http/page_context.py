"""Template variables that every page gets."""

from __future__ import annotations

from typing import Any

from flask import Flask, current_app, g


def init_app(app: Flask) -> None:
    """Give every template the addresses of registry and site, and the place's write freeze."""
    app.context_processor(_provide_variables)


def _provide_variables() -> dict[str, Any]:
    settings = current_app.config["SETTINGS"]
    return {
        "registry_host": settings.registry_host,
        "public_url": settings.public_url,
        "all_tokens_only": settings.tokens_only,
        "fence": g.get("fence"),
    }
