"""Schemas for the JSON request bodies of the API, and the JSON form of operations.

An operation is a removal or a copy of tags, with a plan that a user confirms.
"""

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

#: Maximum number of lines of an operation's report in one response; a line describes one step.
MAX_LINES = 1000
#: Maximum number of characters of a key that an error message shows.
_MAX_KEY_LENGTH = 64
#: Maximum number of unknown keys that a response lists. A body can contain a hundred thousand.
_MAX_UNKNOWN_KEYS = 10


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a JSON request body: the type of its value, and the default for a missing value.

    Attributes:
        meaning: description of the type, which completes the error message "must be …".
        default: the value to use if the key is missing.
        required: whether the key must be sent.
        nullable: whether null counts as a missing value.
    """

    meaning: str
    default: Any = None
    required: bool = False
    nullable: bool = False

    def accepts(self, value: Any) -> bool:
        """Return whether a value has the type that the key requires."""
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
    """Return a key for printable text.

    This excludes lone surrogates (halves of a character), which JSON allows and databases reject.
    """
    return Key(STRING, default, required)


def patterns() -> Key:
    """Return a key for a pattern, or for several separated by commas or line breaks."""
    return Key(PATTERNS, "")


def strings() -> Key:
    """Return a key for a list of printable strings."""
    return Key(STRINGS, ())


def boolean(*, default: bool = False, required: bool = False) -> Key:
    """Return a key for a boolean."""
    return Key(BOOLEAN, default, required)


def integer() -> Key:
    """Return a key for an integer, which can be null."""
    return Key(INTEGER, nullable=True)


@dataclass(frozen=True, slots=True)
class Schema:
    """Schema of the JSON body of one endpoint; a body with any other key is rejected.

    Attributes:
        keys: the allowed keys by name.
        conflicts: maps a key to the keys that can't be sent with it.
        needs: maps a key to the key that must be sent with it.
        implies: maps a key to another key that can't be false if the first key is set.
    """

    keys: Mapping[str, Key] = field(default_factory=dict)
    conflicts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)
    implies: Mapping[str, str] = field(default_factory=dict)

    def read(self) -> dict[str, Any]:
        """Return the values in the body of the current request, with defaults for missing keys.

        A missing body counts as an empty object.

        Raises:
            Invalid: the body is not a JSON object, or it does not match the schema; then
                ``errors`` has a message for each wrong key.
        """
        body = _read_body()
        unknown_keys = islice((key for key in body if key not in self.keys), _MAX_UNKNOWN_KEYS)
        errors = {key[:_MAX_KEY_LENGTH]: self._describe_unknown(key) for key in unknown_keys}
        for name, key in self.keys.items():
            value = body.get(name)
            if name not in body or (value is None and key.nullable):
                if key.required:
                    errors[name] = f"“{name}” is required."
            elif not key.accepts(value):
                errors[name] = f"“{name}” must be {key.meaning}."
        errors |= self._find_contradictions(body)
        if errors:
            raise Invalid("The body can't be used.", errors)
        values = {name: body.get(name) for name in self.keys}
        return {
            name: self.keys[name].default if value is None else value
            for name, value in values.items()
        }

    def _describe_unknown(self, key: str) -> str:
        close = get_close_matches(key[:_MAX_KEY_LENGTH], self.keys, n=1)
        suggestion = f" Did you mean “{close[0]}”?" if close else ""
        return f"“{key[:_MAX_KEY_LENGTH]}” is not a key of this request.{suggestion}"

    def _find_contradictions(self, body: Mapping[str, Any]) -> dict[str, str]:
        # False and null count as a missing key.
        set_keys = {key for key, value in body.items() if value is not None and value is not False}
        errors = {}
        for key, conflicting_keys in self.conflicts.items():
            for other_key in conflicting_keys:
                if {key, other_key} <= set_keys:
                    errors[key] = f"“{key}” and “{other_key}” contradict each other: send only one."
        for key, other_key in self.needs.items():
            if key in set_keys and other_key not in set_keys:
                errors[key] = f"“{key}” needs “{other_key}”."
        for key, other_key in self.implies.items():
            if key in set_keys and body.get(other_key) is False:
                errors[other_key] = f"“{key}” implies “{other_key}”, which can't be false."
        return errors


#: The schema of an endpoint without a body.
EMPTY_BODY = Schema()


def _read_body() -> dict[str, Any]:
    data = request.get_data()
    if not data.strip():
        return {}
    if not request.is_json:
        raise Invalid("The body must be JSON, with “Content-Type: application/json”.")
    try:
        content = json.loads(data, object_pairs_hook=_object_from_pairs)
    except (ValueError, RecursionError):  # Thousands of nested brackets exceed the stack.
        raise Invalid("The body is not valid JSON.") from None
    if not isinstance(content, dict):
        raise Invalid("The body must be a JSON object.")
    return content


def _object_from_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            message = f"“{key[:_MAX_KEY_LENGTH]}” occurs more than once."
            raise Invalid("The body can't be used.", {key[:_MAX_KEY_LENGTH]: message})
        values[key] = value
    return values


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


def serialize_operation(row: Operation, lines: Iterable[OperationStep]) -> dict[str, Any]:
    """Return the JSON form of a removal or copy, with its plan, progress, and report.

    Args:
        row: the removal or copy.
        lines: the steps to include in the report.
    """
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
