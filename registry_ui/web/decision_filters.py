"""Shared parts of the pages that list token decisions (recorded answers of the token endpoint)."""

from __future__ import annotations

from typing import Any

from flask import current_app, render_template, request, url_for

from ..db.session import end_read
from ..http.identity import registry_host
from ..http.query_args import query_text
from ..token_auth.decision_log import decision_log
from ..token_auth.decision_queries import MAX_ID, DecisionFilters, DecisionPage

#: Titles, by kind, of the lists that do not belong to a namespace or project.
TITLES = {"own": "Why was I denied?", "all": "Access log"}


def decisions_page(
    kind: str, listing: DecisionPage, filters: DecisionFilters, **variables: Any
) -> str:
    """Render a page with a list of token decisions.

    Args:
        kind: kind of the list: ``own`` (about the signed-in user), ``place`` (about a namespace or
            project), or ``all``.
        listing: the token decisions.
        filters: the filters that selected the decisions.
        variables: further template variables; ``node`` is the namespace or project.
    """
    settings, node = current_app.config["SETTINGS"], variables.get("node")
    return render_template(
        "decisions.html",
        kind=kind,
        title=f"Access log of {node.path}" if node else TITLES[kind],
        access_check_url=url_for(
            "decisions.access_check",
            repository=filters.repository or (node.path if node else None),
            user=(filters.user or None) if kind != "own" else None,
        ),
        listing=listing,
        filters=filters,
        kept_days=settings.decisions_kept_days,
        **variables,
    )


def flush_decisions() -> None:
    """Write token decisions that are still in memory to the database, before a query lists them.

    The current read transaction ends, because its snapshot would not include the new rows.
    """
    decision_log().flush()
    end_read()


def read_filters() -> DecisionFilters:
    """Return the filters for token decisions from the query string; invalid values are ignored."""
    before = request.args.get("before", "")
    is_number = before.isascii() and before.isdigit() and len(before) <= 10
    return DecisionFilters(
        user=query_text("user").lower(),
        repository=query_text("repository").removeprefix(f"{registry_host()}/").strip("/"),
        refused=request.args.get("refused") == "1",
        before=min(int(before), MAX_ID) if is_number else None,
    )
