"""Errors as values with a message for a person. Pure; answered by ``http.error_handlers``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Link:
    """A page of ours that an error leads to: its endpoint and the values of its address."""

    text: str
    endpoint: str
    values: Mapping[str, Any]


class AppError(Exception):
    """Something that the caller can understand and often mend.

    ``code`` is a word of the OCI error codes where one fits; ``hint`` says what to do, and
    ``links`` lead to the pages for it.
    """

    status = 400
    code = "UNSUPPORTED"
    links: Sequence[Link] = ()

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NotFound(AppError):
    """It does not exist, or the caller may not know that it does: one and the same answer."""

    status = 404
    code = "NAME_UNKNOWN"

    def __init__(self, message: str = "There is nothing here.", hint: str = "") -> None:
        super().__init__(message, hint)


class Denied(AppError):
    """The caller may see it, but not do this to it."""

    status = 403
    code = "DENIED"


class Unauthorized(AppError):
    """The credentials are missing or wrong."""

    status = 401
    code = "UNAUTHORIZED"


class Invalid(AppError):
    """One or more values of a form or a request cannot be used.

    ``errors`` maps the field's name to what is wrong with it.
    """

    status = 422
    code = "NAME_INVALID"

    def __init__(self, message: str, errors: dict[str, str] | None = None, hint: str = "") -> None:
        super().__init__(message, hint)
        self.errors = errors or {}


class Conflict(Invalid):
    """The name is taken, or something changed under the caller's feet."""

    status = 409

    def __init__(
        self,
        message: str,
        errors: dict[str, str] | None = None,
        hint: str = "",
        links: Sequence[Link] = (),
    ) -> None:
        super().__init__(message, errors, hint)
        self.links = links


class StateConflict(Conflict):
    """What the request is about can't be done any more: it was begun, discarded, or has ended."""

    code = "CONFLICT"


class RegistryUnreachable(AppError):
    """The registry is down, slow, refuses, or answers nonsense."""

    status = 502
    code = "UNAVAILABLE"


class PayloadTooLarge(AppError):
    """More than is read here."""

    status = 413
    code = "SIZE_INVALID"

    def __init__(self) -> None:
        super().__init__("The request is larger than allowed.")


class SiteBusy(AppError):
    """Too many pages are being answered at this moment."""

    status = 503
    code = "UNAVAILABLE"
    retry_after = 2

    def __init__(self) -> None:
        super().__init__("The site is busy.", "Try again in a few seconds.")


class DatabaseDown(AppError):
    """It can't be reached, or is too busy."""

    status = 503
    code = "UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("The database does not answer.", "Try again in a moment.")


class InvalidValue(AppError):
    """The database refuses to keep or compare it."""

    def __init__(self) -> None:
        super().__init__("A value holds characters that can't be stored.")


class InternalError(AppError):
    """Our own mistake. What it is stays in the log."""

    status = 500
    code = "UNKNOWN"

    def __init__(self) -> None:
        super().__init__("Something broke on our side.", "Try again; the log says more.")


def oci_error(code: str, message: str, hint: str = "") -> dict[str, Any]:
    """Return an error as the registry writes it: docker prints ``errors[0].message``."""
    return {"errors": [{"code": code, "message": message, "detail": hint or None}]}
