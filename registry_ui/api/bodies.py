"""What programs send, checked by a schema of each endpoint, and how long work is returned."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import islice
from typing import Any

from flask import request

from ..errors import Invalid
from ..models.work import Operation, OperationStep
from ..operations.runner import outcomes_of

#: Maximum number of lines of a report in one answer.
LINES = 1000
#: Maximum number of characters of a key in a message.
_SHOWN = 64
#: Maximum number of unknown keys that an answer names. A body can hold a hundred thousand.
_NAMED = 10


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a body: what its value must be, and what stands for a missing one.

    Attributes:
        meaning: completes "must be".
        nullable: whether null stands for a missing value.
    """

    meaning: str
    default: Any = None
    required: bool = False
    nullable: bool = False

    def accepts(self, value: Any) -> bool:
        """Return whether a value is of the right type."""
        if self.meaning == STRING:
            return _is_text(value)
        if self.meaning == PATTERNS:
            return isinstance(value, str) and _is_text("".join(value.splitlines()))
        if self.meaning == STRINGS:
            return isinstance(value, list) and all(map(_is_text, value))
        if self.meaning == BOOLEAN:
            return isinstance(value, bool)
        return isinstance(value, int) and not isinstance(value, bool)


STRING, STRINGS = "a string of printable characters", "a list of strings"
PATTERNS = "a string of printable characters or lines of them"
BOOLEAN, INTEGER = "a boolean", "an integer"


def string(default: str = "", *, required: bool = False) -> Key:
    """Return a key for text. JSON can write half a character, which no database takes."""
    return Key(STRING, default, required)


def patterns() -> Key:
    """Return a key for a pattern, or a list of them by commas or lines."""
    return Key(PATTERNS, "")


def strings() -> Key:
    """Return a key for a list of texts."""
    return Key(STRINGS, ())


def boolean(*, default: bool = False, required: bool = False) -> Key:
    """Return a key for true or false."""
    return Key(BOOLEAN, default, required)


def integer() -> Key:
    """Return a key for a whole number, which may be null."""
    return Key(INTEGER, nullable=True)


@dataclass(frozen=True, slots=True)
class Schema:
    """What the body of one endpoint can hold. Anything else is refused, before anything is done.

    Attributes:
        conflicts: for a key, the keys that can't be sent with it.
        needs: for a key, the key that must be sent with it.
        implies: for a key that is true, the key that can't be false then.
    """

    keys: Mapping[str, Key] = field(default_factory=dict)
    conflicts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)
    implies: Mapping[str, str] = field(default_factory=dict)

    def read(self) -> dict[str, Any]:
        """Return the value of every key, or its default. No body is an empty object.

        Raises:
            Invalid: the body is no JSON object; or by key, what is wrong with it.
        """
        sent = _sent()
        unknown = islice((key for key in sent if key not in self.keys), _NAMED)
        errors = {key[:_SHOWN]: self._unknown(key) for key in unknown}
        for name, key in self.keys.items():
            value = sent.get(name)
            if name not in sent or (value is None and key.nullable):
                if key.required:
                    errors[name] = f"“{name}” is required."
            elif not key.accepts(value):
                errors[name] = f"“{name}” must be {key.meaning}."
        errors |= self._contradictions(sent)
        if errors:
            raise Invalid("The body can't be used.", errors)
        values = {name: sent.get(name) for name in self.keys}
        return {
            name: self.keys[name].default if value is None else value
            for name, value in values.items()
        }

    def _unknown(self, key: str) -> str:
        close = get_close_matches(key[:_SHOWN], self.keys, n=1)
        suggestion = f" Did you mean “{close[0]}”?" if close else ""
        return f"“{key[:_SHOWN]}” is not a key of this request.{suggestion}"

    def _contradictions(self, sent: Mapping[str, Any]) -> dict[str, str]:
        # False and null say the same as a missing key.
        said = {key for key, value in sent.items() if value is not None and value is not False}
        errors = {}
        for key, others in self.conflicts.items():
            for other in others:
                if {key, other} <= said:
                    errors[key] = f"“{key}” and “{other}” contradict each other: send only one."
        for key, other in self.needs.items():
            if key in said and other not in said:
                errors[key] = f"“{key}” needs “{other}”."
        for key, other in self.implies.items():
            if key in said and sent.get(other) is False:
                errors[other] = f"“{key}” implies “{other}”, which can't be false."
        return errors


#: The schema of an endpoint without a body.
NOTHING = Schema()


def _sent() -> dict[str, Any]:
    body = request.get_data()
    if not body.strip():
        return {}
    if not request.is_json:
        raise Invalid("The body must be JSON, with “Content-Type: application/json”.")
    try:
        sent = json.loads(body, object_pairs_hook=_object)
    except (ValueError, RecursionError):  # brackets, thousands of them
        raise Invalid("The body is not valid JSON.") from None
    if not isinstance(sent, dict):
        raise Invalid("The body must be a JSON object.")
    return sent


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            message = f"“{key[:_SHOWN]}” occurs more than once."
            raise Invalid("The body can't be used.", {key[:_SHOWN]: message})
        found[key] = value
    return found


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


def serialize_operation(row: Operation, lines: Iterable[OperationStep]) -> dict[str, Any]:
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
        "problem": row.problem,
        "plan": row.preview,
        "outcomes": outcomes_of(row),
        "report": [
            {"reference": line.reference, "outcome": line.outcome, "detail": line.detail}
            for line in lines
        ],
    }
