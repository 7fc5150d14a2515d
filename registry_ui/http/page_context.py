"""Template variables that are available in every page."""

from __future__ import annotations

from typing import Any

from flask import Flask, current_app, g


def init_app(app: Flask) -> None:
    """Provide the template variables, such as the registry's host and the current write freeze."""
    app.context_processor(_provide_variables)


def _provide_variables() -> dict[str, Any]:
    settings = current_app.config["SETTINGS"]
    return {
        "registry_host": settings.registry_host,
        "public_url": settings.public_url,
        "all_tokens_only": settings.tokens_only,
        "freeze": g.get("freeze"),
    }
