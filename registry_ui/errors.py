"""Application errors whose messages are shown to users. ``http.error_handlers`` renders them."""

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

    ``status`` is the HTTP status, and ``code`` an OCI error code if one fits. ``hint`` says how to
    fix the error, and ``links`` point to pages where that is possible.
    """

    status = 400
    code = "UNSUPPORTED"
    links: Sequence[Link] = ()

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NotFound(AppError):
    """The object does not exist, or the caller is not allowed to know that it does."""

    status = 404
    code = "NAME_UNKNOWN"

    def __init__(self, message: str = "There is nothing here.", hint: str = "") -> None:
        super().__init__(message, hint)


class Denied(AppError):
    """The caller is allowed to see the object, but not to perform the requested action."""

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
    """The state of an operation forbids the request, for example because it has already ended."""

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
    """Too many page requests are in progress. ``retry_after`` is in seconds."""

    status = 503
    code = "UNAVAILABLE"
    retry_after = 2

    def __init__(self) -> None:
        super().__init__("The site is busy.", "Try again in a few seconds.")


class DatabaseDown(AppError):
    """The database can't be reached, or is too busy to answer."""

    status = 503
    code = "UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("The database does not answer.", "Try again in a moment.")


class InvalidValue(AppError):
    """A value in the request has characters that the database can't store or compare."""

    def __init__(self) -> None:
        super().__init__("A value holds characters that can't be stored.")


class InternalError(AppError):
    """An unexpected error in this application. Details are only in the log."""

    status = 500
    code = "UNKNOWN"

    def __init__(self) -> None:
        super().__init__("Something broke on our side.", "Try again; the log says more.")


def oci_error(code: str, message: str, hint: str = "") -> dict[str, Any]:
    """Return the JSON body of an OCI error response; Docker prints ``errors[0].message``."""
    return {"errors": [{"code": code, "message": message, "detail": hint or None}]}
