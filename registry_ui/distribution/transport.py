"""HTTP transport to the registry, with size limits, deadlines and typed errors.

Responses are untrusted. Redirects are never followed automatically.
"""

from __future__ import annotations

import json
import re
import ssl
import time
from contextlib import suppress
from functools import cache
from typing import Any, Protocol
from urllib.parse import SplitResult, urljoin, urlsplit

import certifi
import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError, ReadTimeoutError
from urllib3.exceptions import TimeoutError as TooSlow
from urllib3.response import BaseHTTPResponse

from ..names import RepositoryName
from .call_budget import count_call, may_retry
from .call_timeout import call_timeout
from .clock import RegistryClock
from .errors import (
    ConnectionBroken,
    ContentTooLarge,
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
    RegistryTimeout,
    RegistryUnavailable,
)

#: Error codes in a 404 from the registry itself. A 404 without them comes from a proxy and does
#: not mean that content is missing.
NOT_THERE = frozenset({"NAME_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND"})
#: Seconds to wait before each retry. Distribution 2.8 answers 500 to a request that reads a tag
#: or blob link while a concurrent push rewrites it (docs/protocols.md, "Found since").
PAUSES = (0.02, 0.1, 0.3)


class TokenSource(Protocol):
    """A callable that issues a bearer token for one call, restricted to that call."""

    def __call__(
        self, repository: str | None, actions: tuple[str, ...], mounted_from: str | None = None
    ) -> str:
        """Return a bearer token that allows the given actions.

        Args:
            repository: repository to which the actions apply; None for the catalog.
            actions: actions to allow, such as ``pull``. Without any, the token grants no access.
            mounted_from: source repository of a blob mount, from which the token allows pulls.
        """


#: Maximum number of idle connections that are kept open: enough for the parallel calls of one
#: page, and some for concurrent requests.
KEPT = 16


class Transport:
    """A connection pool for one registry, shared between threads.

    It uses urllib3 directly, because with the requests library, which is built on urllib3, a
    page of 100 rows takes 50% longer (PERFORMANCE.md).

    Args:
        base_url: URL of the registry. It must come from the operator's settings.
        token_source: issues a bearer token for each call, restricted to that call.
        timeout: timeout in seconds for connecting and for each read from the socket. Reading a
            whole response body can take five times as long.
    """

    def __init__(self, base_url: str, token_source: TokenSource, timeout: float) -> None:
        self.base_url = base_url.rstrip("/")
        self._token_source = token_source
        self._timeout = timeout
        self.clock = RegistryClock()
        # Proxies and .netrc from the environment are ignored, because the operator's settings
        # alone decide how the registry is reached.
        self._pool = urllib3.PoolManager(
            num_pools=4,
            maxsize=KEPT,
            headers={"User-Agent": "registry_ui"},
            ssl_context=_trusted(),
            retries=False,
        )

    def send(  # noqa: PLR0913 - one request has that many parts
        self,
        method: str,
        target: str,
        repository: RepositoryName | None,
        actions: tuple[str, ...],
        *,
        accept: str = "application/json",
        body: bytes | None = None,
        content_type: str | None = None,
        may_redirect: bool = False,
        mounted_from: RepositoryName | None = None,
    ) -> BaseHTTPResponse:
        """Make one registry call with a bearer token that is restricted to it.

        The caller must read the body of a GET response with read(). The bodies of other responses
        are discarded.

        Args:
            method: HTTP method.
            target: path and query, relative to the base URL.
            repository: repository for which the token is issued; None for the catalog.
            actions: actions that the token allows.
            accept: value of the Accept header.
            body: request body.
            content_type: media type of the request body.
            may_redirect: whether to return a redirect instead of raising an error.
            mounted_from: source repository of a blob mount.

        Raises:
            RegistryError: the registry can't be reached, or its response is an error.
        """
        name = None if repository is None else str(repository)
        more = (str(mounted_from),) if mounted_from else ()
        token = self._token_source(name, actions, *more)
        headers = {"Accept": accept, "Authorization": f"Bearer {token}"}
        if content_type:
            headers["Content-Type"] = content_type
        response = self._exchange(method, target, headers, body)
        for pause in PAUSES if may_retry() else ():
            # Uploads are not idempotent, so they must not be sent twice. All other requests can
            # be, including mounts.
            upload = "/blobs/uploads/" in target and mounted_from is None
            if response.status != 500 or upload:
                break
            response.close()
            time.sleep(pause)
            response = self._exchange(method, target, headers, body)
        if response.status >= 400:
            self._raise(method, response)
        elif response.status >= 300 and not may_redirect:
            # Probably a proxy redirecting to its sign-in page; accepting it as a success would
            # corrupt the index.
            response.close()
            raise InvalidRegistryResponse(f"the registry redirects ({response.status})")
        elif method != "GET":
            self._let_go(response)
        return response

    def _let_go(self, response: BaseHTTPResponse) -> None:
        """Drain a small response body that is not needed, so that the connection can be reused."""
        with suppress(RegistryError):
            self.read(response, 64 * 1024)

    def _exchange(
        self, method: str, target: str, headers: dict[str, str], body: bytes | None
    ) -> BaseHTTPResponse:
        """Send one request and return the response, whatever its status is.

        A GET or HEAD whose connection broke is retried.
        """
        for pause in PAUSES if method in {"GET", "HEAD"} else ():
            try:
                return self._exchange_once(method, target, headers, body)
            except ConnectionBroken:
                time.sleep(pause)
        return self._exchange_once(method, target, headers, body)

    def _exchange_once(
        self, method: str, target: str, headers: dict[str, str], body: bytes | None
    ) -> BaseHTTPResponse:
        count_call()
        patience = call_timeout(self._timeout)
        if body or method == "POST":
            patience = max(patience, 10.0)
        sent_at = time.time()
        response = self._request(
            "registry", method, self.base_url + target, headers=headers, body=body, read=patience
        )
        self.clock.observe(response.headers.get("Date"), sent_at, time.time())
        return response

    def _request(
        self,
        whom: str,
        method: str,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        read: float,
    ) -> BaseHTTPResponse:
        try:
            return self._pool.request(
                method,
                url,
                headers={**self._pool.headers, **(headers or {})},
                body=body,
                timeout=urllib3.Timeout(connect=self._timeout, read=read),
                redirect=False,
                preload_content=False,
            )
        except HTTPError as error:
            message = f"the {whom} can't be reached: {_reason(error)}"
            if isinstance(error, ProtocolError):
                raise ConnectionBroken(message) from None
            if isinstance(error, ReadTimeoutError):
                raise RegistryTimeout(message) from None
            raise RegistryUnavailable(message) from None

    def own_place(self, address: str) -> SplitResult:
        """Parse a URL that the registry returned, such as a Location header.

        Use only the path and query of the result: the registry can be wrong about its own host.

        Raises:
            InvalidRegistryResponse: the URL is malformed, or is not below ``/v2/``.
        """
        try:
            place = urlsplit(urljoin(self.base_url + "/", address))
        except ValueError:
            raise InvalidRegistryResponse("the registry gave an address that is none") from None
        if not place.path.startswith("/v2/"):
            raise InvalidRegistryResponse("the registry gave an address that is not its own")
        return place

    def get_elsewhere(self, location: str) -> BaseHTTPResponse:
        """Start to download a blob from a signed URL of object storage, without our token.

        Raises:
            InvalidRegistryResponse: the location is not an HTTP URL.
            RegistryUnavailable: the storage can't be reached, or its status is not 200.
        """
        if not location.startswith(("http://", "https://")):
            raise InvalidRegistryResponse("a blob redirects to no web address")
        try:
            response = self._request("storage", "GET", location, read=call_timeout(self._timeout))
        except ValueError:
            raise InvalidRegistryResponse("a blob redirects to no web address") from None
        if response.status != 200:
            response.close()
            raise RegistryUnavailable(f"the storage answered {response.status}")
        return response

    def read(self, response: BaseHTTPResponse, limit: int) -> bytes:
        """Read a response body completely, and close the response.

        Args:
            response: the response, whose body was not read yet.
            limit: maximum size in bytes.

        Raises:
            ContentTooLarge: the body is larger than the limit.
            RegistryTimeout: reading takes more than five times the timeout of a call.
            RegistryUnavailable: the connection broke.
        """
        deadline = time.monotonic() + 5 * call_timeout(self._timeout)
        chunks, size = [], 0
        try:
            if (response.length_remaining or 0) > limit:
                raise ContentTooLarge(f"the answer is larger than {limit} bytes")
            # read1() returns the bytes that have arrived instead of waiting for a whole chunk, so
            # that the deadline also applies to a body that arrives very slowly.
            while chunk := response.read1(64 * 1024, decode_content=True):
                size += len(chunk)
                if size > limit:
                    raise ContentTooLarge(f"the answer is larger than {limit} bytes")
                if time.monotonic() > deadline:
                    raise RegistryTimeout("the registry is too slow")
                chunks.append(chunk)
        except ReadTimeoutError as error:
            raise RegistryTimeout(f"the answer broke off: {_reason(error)}") from None
        except HTTPError as error:
            raise RegistryUnavailable(f"the answer broke off: {_reason(error)}") from None
        finally:
            response.close()
        return b"".join(chunks)

    def _raise(self, method: str, response: BaseHTTPResponse) -> None:
        status = response.status
        try:
            codes = _error_codes(self.read(response, 1024 * 1024))
        except InvalidRegistryResponse:
            codes = []
        told = f"{status} {' '.join(codes)}".strip()
        if status in {401, 403}:
            reason = f". {self.clock.problem}" if self.clock.problem else ""
            raise RegistryRefused(f"the registry did not accept our token ({told}){reason}")
        if status == 405 and method not in {"GET", "HEAD"}:
            _raise_not_allowed(method, response, codes)
        if method == "DELETE" and status == 400 and "DIGEST_INVALID" in codes:
            raise DeletionByTagUnsupported("this registry deletes by digest only")
        if method == "PUT" and "MANIFEST_BLOB_UNKNOWN" in codes:
            raise PartsMissing("the registry misses parts of the manifest")
        own = response.headers.get("Docker-Distribution-Api-Version")
        if status == 404 and ((own and method == "HEAD") or NOT_THERE.intersection(codes)):
            raise RegistryNotFound(f"the registry does not have it ({told})")
        if status == 500 and own:
            raise RegistryFault(f"the registry answered {told}")
        if status >= 500 or status == 429:
            raise RegistryUnavailable(f"the registry answered {told}")
        raise InvalidRegistryResponse(f"the registry answered {told}")


def _raise_not_allowed(method: str, response: BaseHTTPResponse, codes: list[str]) -> None:
    """Raise the error for a 405 that the registry's configuration explains; else return.

    Raises:
        RegistryReadOnly: the registry is read-only.
        DeletionDisabled: deletion is disabled.
        RegistryIsCache: the registry is a pull-through cache.
    """
    if _is_read_only(response):
        raise RegistryReadOnly("the registry is read-only")
    if method == "DELETE":
        raise DeletionDisabled("deletion is switched off in the registry")
    if "UNSUPPORTED" in codes:
        raise RegistryIsCache("the registry is a pull-through cache: nothing can be pushed")


@cache
def _trusted() -> ssl.SSLContext:
    """Return a TLS context that trusts the system's certificates and those of certifi.

    The system's certificates can include a company's own authority. The context is created once
    per process, because loading more than a hundred certificates is slow.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _is_read_only(response: BaseHTTPResponse) -> bool:
    """Return whether a 405 means that the registry is read-only.

    A read-only registry has no handlers for writes, so its Allow header lists only reads. A
    registry with deletion disabled has a handler, which answers UNSUPPORTED without this header
    (docs/protocols.md, "Found since").
    """
    allowed = {word.strip() for word in response.headers.get("Allow", "").split(",")}
    return "GET" in allowed and not allowed & {"DELETE", "PUT", "POST", "PATCH"}


def _reason(error: Exception) -> str:
    """Describe a connection error without the URL, which can contain credentials."""
    if isinstance(error, NewConnectionError | ProtocolError):
        return "no connection"
    if isinstance(error, TooSlow):
        return "no answer in time"
    return type(error).__name__


def parse_json(body: bytes) -> Any:
    """Parse untrusted JSON.

    Raises:
        InvalidRegistryResponse: the body is not JSON, is nested too deeply, or contains a number
            that is too large.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidRegistryResponse("the registry answered something that is not JSON") from None


def json_object(body: bytes) -> dict[str, Any]:
    """Parse untrusted JSON that must be an object.

    Raises:
        InvalidRegistryResponse: the body is not JSON, or not an object.
    """
    value = parse_json(body)
    if not isinstance(value, dict):
        raise InvalidRegistryResponse("the registry answered JSON of another shape")
    return value


def _error_codes(body: bytes) -> list[str]:
    errors = json_object(body).get("errors")
    if not isinstance(errors, list):
        return []
    codes = (str(e.get("code", "")) for e in errors if isinstance(e, dict))
    return [code for code in codes if re.fullmatch(r"[A-Z_]{1,40}", code)]
