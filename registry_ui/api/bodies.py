"""What programs send, and how work that goes on is told to them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask import request

from ..catalog.work import outcomes_of
from ..errors import Invalid
from ..models.work import Work, WorkLine

#: So many lines of a report are in one answer.
LINES = 1000


def json_object() -> dict[str, Any]:
    """Return the JSON object that was sent.

    Raises:
        Invalid: it is none.
    """
    sent = _sent()
    if not isinstance(sent, dict):
        raise Invalid("The body is no JSON object.")
    return sent


def is_set(key: str) -> bool:
    """Whether the body is a JSON object with ``true`` for this key. There need not be one."""
    sent = _sent()
    return isinstance(sent, dict) and sent.get(key) is True


def text(body: dict[str, Any], key: str, default: str | None = None) -> str:
    """Return a text of the body, or the default where the key is missing.

    Raises:
        Invalid: it is missing without a default, no text, or holds what no name can: JSON
            can say half a character, which no database takes.
    """
    value = body.get(key, default)
    if not isinstance(value, str) or not value.isprintable():
        raise Invalid(f"“{key}” is a text.")
    return value


def _sent() -> Any:
    try:
        return request.get_json(silent=True)
    except RecursionError:  # brackets, thousands of them
        return None


def work_told(row: Work, lines: Iterable[WorkLine]) -> dict[str, Any]:
    """Return a removal or a copy: its plan, how far it is, its report."""
    return {
        "id": row.id,
        "kind": row.kind,
        "target": row.target,
        "state": row.state,
        "requested_by": row.requested_by,
        "created_at": row.created_at.isoformat(),
        "finished_at": row.finished_at.isoformat() if row.finished_at else None,
        "done": row.done,
        "total": row.total,
        "plan": row.preview,
        "outcomes": outcomes_of(row),
        "report": [
            {"reference": line.reference, "outcome": line.outcome, "detail": line.detail}
            for line in lines
        ],
    }
