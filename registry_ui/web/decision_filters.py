"""The one page of decisions that users, Maintainers and administrators each have of their own."""

from __future__ import annotations

from typing import Any

from flask import current_app, render_template, request

from ..db.session import end_read
from ..http.identity import registry_host
from ..http.query_args import query_text
from ..token_auth.decision_log import decision_log
from ..token_auth.decision_queries import MAX_ID, DecisionFilters, DecisionPage


def decisions_page(kind: str, listing: DecisionPage, filters: DecisionFilters, **more: Any) -> str:
    """Render decisions: a user's ``own``, those of a ``place``, or ``all``."""
    settings = current_app.config["SETTINGS"]
    return render_template(
        "decisions.html",
        kind=kind,
        listing=listing,
        filters=filters,
        kept_days=settings.decisions_kept_days,
        **more,
    )


def write_down() -> None:
    """Store what still waits in memory, and let what was read so far not hide it."""
    decision_log().flush()
    end_read()


def asked_filters() -> DecisionFilters:
    """Return what the URL filters by; nothing for what makes no sense."""
    before = request.args.get("before", "")
    is_number = before.isascii() and before.isdigit() and len(before) <= 10
    return DecisionFilters(
        user=query_text("user").lower(),
        repository=query_text("repository").removeprefix(f"{registry_host()}/").strip("/"),
        refused=request.args.get("refused") == "1",
        before=min(int(before), MAX_ID) if is_number else None,
    )
