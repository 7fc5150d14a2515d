"""Errors for responses of the registry whose status is 400 or higher."""

from __future__ import annotations

import re

from urllib3.response import BaseHTTPResponse

from .errors import (
    DeletionByTagUnsupported,
    DeletionDisabled,
    InvalidRegistryResponse,
    PartsMissing,
    RegistryError,
    RegistryFault,
    RegistryIsCache,
    RegistryNotFound,
    RegistryReadOnly,
    RegistryRefused,
    RegistryUnavailable,
)
from .untrusted import json_object

#: Error codes in a 404 from the registry itself. A 404 without them comes from a proxy and does
#: not mean that content is missing.
NOT_FOUND_CODES = frozenset({"NAME_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND"})


def error_from_response(
    method: str, response: BaseHTTPResponse, codes: list[str], clock_problem: str | None
) -> RegistryError:
    """Return the exception to raise for an error response of the registry.

    Args:
        method: HTTP method of the request.
        response: the response, with a status of 400 or higher.
        codes: OCI error codes from the response body.
        clock_problem: a warning if the registry's clock differs too much from this server's,
            otherwise None.
    """
    status = response.status
    description = f"{status} {' '.join(codes)}".strip()
    if status in {401, 403}:
        reason = f". {clock_problem}" if clock_problem else ""
        return RegistryRefused(f"the registry did not accept our token ({description}){reason}")
    error = _error_from_refused_write(method, response, codes)
    if error is not None:
        return error
    api_version = response.headers.get("Docker-Distribution-Api-Version")
    is_missing = (api_version and method == "HEAD") or NOT_FOUND_CODES.intersection(codes)
    if status == 404 and is_missing:
        return RegistryNotFound(f"the registry does not have it ({description})")
    if status == 500 and api_version:
        return RegistryFault(f"the registry answered {description}")
    if status >= 500 or status == 429:
        return RegistryUnavailable(f"the registry answered {description}")
    return InvalidRegistryResponse(f"the registry answered {description}")


def _error_from_refused_write(
    method: str, response: BaseHTTPResponse, codes: list[str]
) -> RegistryError | None:
    """Return the error for a refused push or deletion, or None for any other response.

    Status 405 is caused by the registry's configuration: the registry is read-only, deletion is
    disabled, or the registry is a pull-through cache.
    """
    if response.status == 405 and method not in {"GET", "HEAD"}:
        if _is_read_only(response):
            return RegistryReadOnly("the registry is read-only")
        if method == "DELETE":
            return DeletionDisabled("deletion is switched off in the registry")
        if "UNSUPPORTED" in codes:
            return RegistryIsCache("the registry is a pull-through cache: nothing can be pushed")
    if method == "DELETE" and response.status == 400 and "DIGEST_INVALID" in codes:
        return DeletionByTagUnsupported("this registry deletes by digest only")
    if method == "PUT" and "MANIFEST_BLOB_UNKNOWN" in codes:
        return PartsMissing("the registry misses parts of the manifest")
    return None


def _is_read_only(response: BaseHTTPResponse) -> bool:
    """Return whether a 405 means that the registry is read-only.

    A read-only registry has no handlers for writes, so its Allow header lists only reads. A
    registry with deletion disabled has a handler for deletions, which responds with the error
    code UNSUPPORTED and without an Allow header (docs/protocols.md, "Found since").
    """
    allowed_methods = {word.strip() for word in response.headers.get("Allow", "").split(",")}
    return "GET" in allowed_methods and not allowed_methods & {"DELETE", "PUT", "POST", "PATCH"}


def read_error_codes(body: bytes) -> list[str]:
    """Return the OCI error codes in a response body.

    Raises:
        InvalidRegistryResponse: the body is not a JSON object.
    """
    errors = json_object(body).get("errors")
    if not isinstance(errors, list):
        return []
    codes = (str(e.get("code", "")) for e in errors if isinstance(e, dict))
    return [code for code in codes if re.fullmatch(r"[A-Z_]{1,40}", code)]
