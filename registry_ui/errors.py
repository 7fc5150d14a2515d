"""Application errors with a message for people. Pure; ``http.error_handlers`` renders them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Link:
    """A link from an error to a page of this site: its text, endpoint, and URL values."""

    text: str
    endpoint: str
    values: Mapping[str, Any]


class AppError(Exception):
    """Base class of errors that the caller can understand and often fix.

    ``code`` is an OCI error code if one fits. ``hint`` says what to do, and ``links`` point to
    pages where it can be done.
    """

    status = 400
    code = "UNSUPPORTED"
    links: Sequence[Link] = ()

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NotFound(AppError):
    """The object does not exist, or the caller may not know that it does; both look the same."""

    status = 404
    code = "NAME_UNKNOWN"

    def __init__(self, message: str = "There is nothing here.", hint: str = "") -> None:
        super().__init__(message, hint)


class Denied(AppError):
    """The caller can see the object, but is not allowed to do this."""

    status = 403
    code = "DENIED"


class Unauthorized(AppError):
    """The credentials are missing or wrong."""

    status = 401
    code = "UNAUTHORIZED"


class Invalid(AppError):
    """One or more values of a form or a request can't be used.

    ``errors`` maps the name of a field to its error message.
    """

    status = 422
    code = "NAME_INVALID"

    def __init__(self, message: str, errors: dict[str, str] | None = None, hint: str = "") -> None:
        super().__init__(message, hint)
        self.errors = errors or {}


class Conflict(Invalid):
    """The name is taken, or the object was changed or is in use."""

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
    """The operation is not possible in this state: it has begun, ended, or been discarded."""

    code = "CONFLICT"


class RegistryUnreachable(AppError):
    """The registry is down, slow, refuses the request, or sends an invalid response."""

    status = 502
    code = "UNAVAILABLE"


class PayloadTooLarge(AppError):
    """The request body exceeds the size limit."""

    status = 413
    code = "SIZE_INVALID"

    def __init__(self) -> None:
        super().__init__("The request is larger than allowed.")


class SiteBusy(AppError):
    """Too many page requests are in progress."""

    status = 503
    code = "UNAVAILABLE"
    retry_after = 2

    def __init__(self) -> None:
        super().__init__("The site is busy.", "Try again in a few seconds.")


class DatabaseDown(AppError):
    """The database can't be reached, or is too busy."""

    status = 503
    code = "UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("The database does not answer.", "Try again in a moment.")


class InvalidValue(AppError):
    """A value has characters that the database can't store or compare."""

    def __init__(self) -> None:
        super().__init__("A value holds characters that can't be stored.")


class InternalError(AppError):
    """An unexpected error in this application. Details are only in the log."""

    status = 500
    code = "UNKNOWN"

    def __init__(self) -> None:
        super().__init__("Something broke on our side.", "Try again; the log says more.")


def oci_error(code: str, message: str, hint: str = "") -> dict[str, Any]:
    """Return the JSON body of an OCI error response; docker prints ``errors[0].message``."""
    return {"errors": [{"code": code, "message": message, "detail": hint or None}]}
