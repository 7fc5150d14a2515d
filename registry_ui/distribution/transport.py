"""HTTP to the registry, without trust: limits, deadlines, no redirects, errors as values."""

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

#: What a 404 of the registry itself says. A proxy's 404 says nothing about images.
NOT_THERE = frozenset({"NAME_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND"})
#: 2.8 answers 500 to whoever reads a link while a push beside it writes that link again
#: (docs/protocols.md, "Found since"). Seconds before each further attempt.
PAUSES = (0.02, 0.1, 0.3)


class TokenSource(Protocol):
    """Mints the bearer token of one call, cut down to that call."""

    def __call__(
        self, repository: str | None, actions: tuple[str, ...], mounted_from: str | None = None
    ) -> str:
        """Return a token for these actions on a repository, or on the catalog for None.

        Args:
            mounted_from: another repository, from which a blob is mounted: pulled there.
        """


#: Connections that stay open: as many as a page asks at a time, and some for its neighbours.
KEPT = 16


class Transport:
    """The connections to one registry, shared between threads.

    urllib3's own pool: a page of 100 rows from requests, which stands on it, takes half as
    long again (PERFORMANCE.md).

    Args:
        base_url: where the registry answers, from the operator's settings only.
        token_source: mints the bearer token of each call, cut down to that call.
        timeout: seconds for a connection and between two reads; a whole read may take
            five times that.
    """

    def __init__(self, base_url: str, token_source: TokenSource, timeout: float) -> None:
        self.base_url = base_url.rstrip("/")
        self._token_source = token_source
        self._timeout = timeout
        self.clock = RegistryClock()
        # No proxy and no .netrc of the environment: the address is the operator's.
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
        """Make one call with a bearer token for just that; raise RegistryError for a refusal.

        The body of a GET is left to read(); that of any other answer is let go.
        """
        name = None if repository is None else str(repository)
        more = (str(mounted_from),) if mounted_from else ()
        token = self._token_source(name, actions, *more)
        headers = {"Accept": accept, "Authorization": f"Bearer {token}"}
        if content_type:
            headers["Content-Type"] = content_type
        response = self._exchange(method, target, headers, body)
        for pause in PAUSES if may_retry() else ():
            # An upload can't be sent twice; everything else says the same again.
            upload = "/blobs/uploads/" in target and mounted_from is None
            if response.status != 500 or upload:
                break
            response.close()
            time.sleep(pause)
            response = self._exchange(method, target, headers, body)
        if response.status >= 400:
            self._raise(method, response)
        elif response.status >= 300 and not may_redirect:
            # A proxy's way to its sign-in page. Taken for success, it would be believed.
            response.close()
            raise InvalidRegistryResponse(f"the registry redirects ({response.status})")
        elif method != "GET":
            self._let_go(response)
        return response

    def _let_go(self, response: BaseHTTPResponse) -> None:
        """Read what nobody wants to know, if it is little, so that the connection stays good."""
        with suppress(RegistryError):
            self.read(response, 64 * 1024)

    def _exchange(
        self, method: str, target: str, headers: dict[str, str], body: bytes | None
    ) -> BaseHTTPResponse:
        """Send one request and return the answer, whatever it says.

        A read whose connection broke is sent again.
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
        """Return path and query of an address that the registry gave; its host is its guess."""
        try:
            place = urlsplit(urljoin(self.base_url + "/", address))
        except ValueError:
            raise InvalidRegistryResponse("the registry gave an address that is none") from None
        if not place.path.startswith("/v2/"):
            raise InvalidRegistryResponse("the registry gave an address that is not its own")
        return place

    def get_elsewhere(self, location: str) -> BaseHTTPResponse:
        """Get a blob from object storage, whose address carries its own signature."""
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
        """Read a body of at most ``limit`` bytes, and not for ever."""
        deadline = time.monotonic() + 5 * call_timeout(self._timeout)
        chunks, size = [], 0
        try:
            if (response.length_remaining or 0) > limit:
                raise ContentTooLarge(f"the answer is larger than {limit} bytes")
            # What has come so far, not a whole chunk: bytes that trickle in must not hold us.
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
    """Raise what the configuration of the registry does not allow; return for anything else."""
    if _is_read_only(response):
        raise RegistryReadOnly("the registry is read-only")
    if method == "DELETE":
        raise DeletionDisabled("deletion is switched off in the registry")
    if "UNSUPPORTED" in codes:
        raise RegistryIsCache("the registry is a pull-through cache: nothing can be pushed")


@cache
def _trusted() -> ssl.SSLContext:
    """Trust what the machine trusts, a company's own authority too, and what browsers do.

    Read once a process: some hundred certificates take a while.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _is_read_only(response: BaseHTTPResponse) -> bool:
    """Whether a 405 is that of a read-only registry, which has no handler for the method.

    One with deletion switched off has, and answers UNSUPPORTED without this header
    (docs/protocols.md, "Found since").
    """
    allowed = {word.strip() for word in response.headers.get("Allow", "").split(",")}
    return "GET" in allowed and not allowed & {"DELETE", "PUT", "POST", "PATCH"}


def _reason(error: Exception) -> str:
    """Say what happened without the address, which may hold more than one wants to show."""
    if isinstance(error, NewConnectionError | ProtocolError):
        return "no connection"
    if isinstance(error, TooSlow):
        return "no answer in time"
    return type(error).__name__


def parse_json(body: bytes) -> Any:
    """Parse hostile JSON: too deep a nesting or a huge number is an error like any other.

    Raises RegistryNonsense.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidRegistryResponse("the registry answered something that is not JSON") from None


def json_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object; raise RegistryNonsense for anything else."""
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
