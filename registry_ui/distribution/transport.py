"""HTTP transport to the registry, with size limits, deadlines, and typed errors.

Responses are untrusted. Redirects are never followed automatically.
"""

from __future__ import annotations

import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import NoReturn, Protocol
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
    InvalidRegistryResponse,
    RegistryError,
    RegistryTimeout,
    RegistryUnavailable,
)
from .response_errors import error_from_response, read_error_codes

#: Seconds to wait before each retry. Distribution 2.8 answers 500 to a request that reads a tag
#: or blob link while a concurrent push rewrites it (docs/protocols.md, "Found since").
PAUSES = (0.02, 0.1, 0.3)


class TokenSource(Protocol):
    """A callable that issues a bearer token for one registry call, restricted to that call."""

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
MAX_IDLE_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """The optional parts of a registry call.

    Attributes:
        accept: value of the Accept header.
        body: request body, or None.
        content_type: media type of the request body, or None.
        may_redirect: whether to return a redirect response instead of raising an error for it.
        mounted_from: source repository of a blob mount; None for any other call.
    """

    accept: str = "application/json"
    body: bytes | None = None
    content_type: str | None = None
    may_redirect: bool = False
    mounted_from: RepositoryName | None = None


NO_OPTIONS = RequestOptions()


class Transport:
    """A connection pool for one registry, shared between threads.

    It uses urllib3 directly, because with the requests library, which is built on urllib3, a
    page of 100 rows takes 50% longer (PERFORMANCE.md).

    Args:
        base_url: URL of the registry. It must come from the operator's settings.
        token_source: issues a bearer token for each call, restricted to that call.
        timeout: timeout in seconds for connecting, and for each read from the socket unless
            at_least() or a request body requires a longer one. Reading a whole response body can
            take up to five times the read timeout.
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
            maxsize=MAX_IDLE_CONNECTIONS,
            headers={"User-Agent": "registry_ui"},
            ssl_context=_create_tls_context(),
            retries=False,
        )

    def send(
        self,
        method: str,
        target: str,
        repository: RepositoryName | None,
        actions: tuple[str, ...],
        options: RequestOptions = NO_OPTIONS,
    ) -> BaseHTTPResponse:
        """Make one registry call with a bearer token that is restricted to that call.

        The caller must read the body of a GET response with read(). The bodies of other responses
        are discarded.

        Args:
            method: HTTP method.
            target: path and query, relative to the base URL.
            repository: repository for which the token is issued; None for the catalog.
            actions: actions that the token allows.
            options: headers and body of the request, and how to handle a redirect.

        Raises:
            RegistryError: the registry can't be reached, or its response is an error.
        """
        headers = self._create_headers(repository, actions, options)
        # Uploads are not idempotent, so they must not be sent twice. All other requests can be,
        # including mounts.
        is_upload = "/blobs/uploads/" in target and options.mounted_from is None
        pauses = PAUSES if may_retry() and not is_upload else ()
        response = self._exchange_with_retries(method, target, headers, options.body, pauses)
        if response.status >= 400:
            self._raise_error(method, response)
        elif response.status >= 300 and not options.may_redirect:
            _refuse_redirect(response)
        elif method != "GET":
            self._drain(response)
        return response

    def _create_headers(
        self, repository: RepositoryName | None, actions: tuple[str, ...], options: RequestOptions
    ) -> dict[str, str]:
        """Return the headers of a registry call, including a new bearer token for that call."""
        name = None if repository is None else str(repository)
        if options.mounted_from is None:
            token = self._token_source(name, actions)
        else:
            token = self._token_source(name, actions, str(options.mounted_from))
        headers = {"Accept": options.accept, "Authorization": f"Bearer {token}"}
        if options.content_type:
            headers["Content-Type"] = options.content_type
        return headers

    def _drain(self, response: BaseHTTPResponse) -> None:
        """Drain a small response body that is not needed, so that the connection can be reused."""
        with suppress(RegistryError):
            self.read(response, 64 * 1024)

    def _exchange_with_retries(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes | None,
        pauses: tuple[float, ...],
    ) -> BaseHTTPResponse:
        """Send a request, and send it again after each pause as long as the status is 500."""
        response = self._exchange(method, target, headers, body)
        for pause in pauses:
            if response.status != 500:
                break
            response.close()
            time.sleep(pause)
            response = self._exchange(method, target, headers, body)
        return response

    def _exchange(
        self, method: str, target: str, headers: dict[str, str], body: bytes | None
    ) -> BaseHTTPResponse:
        """Send one request and return the response, regardless of its status.

        A GET or HEAD request is retried if its connection broke.
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
        timeout = call_timeout(self._timeout)
        if body or method == "POST":
            timeout = max(timeout, 10.0)
        sent_at = time.time()
        try:
            response = self._request(method, self.base_url + target, timeout, headers, body)
        except HTTPError as error:
            raise _error_from_urllib3("registry", error) from None
        self.clock.observe(response.headers.get("Date"), sent_at, time.time())
        return response

    def _request(
        self,
        method: str,
        url: str,
        read_timeout: float,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> BaseHTTPResponse:
        return self._pool.request(
            method,
            url,
            headers={**self._pool.headers, **(headers or {})},
            body=body,
            timeout=urllib3.Timeout(connect=self._timeout, read=read_timeout),
            redirect=False,
            preload_content=False,
        )

    def parse_location(self, url: str) -> SplitResult:
        """Parse a URL that the registry returned, such as a Location header.

        Use only the path and query of the result: the registry can be wrong about its own host.

        Raises:
            InvalidRegistryResponse: the URL is malformed, or is not below ``/v2/``.
        """
        try:
            parts = urlsplit(urljoin(self.base_url + "/", url))
        except ValueError:
            raise InvalidRegistryResponse("the registry gave an address that is none") from None
        if not parts.path.startswith("/v2/"):
            raise InvalidRegistryResponse("the registry gave an address that is not its own")
        return parts

    def get_from_storage(self, location: str) -> BaseHTTPResponse:
        """Start the download of a blob from a signed URL of object storage, without a bearer token.

        Raises:
            InvalidRegistryResponse: the location is not an HTTP URL.
            RegistryUnavailable: the storage can't be reached, or the response status is not 200.
        """
        if not location.startswith(("http://", "https://")):
            raise InvalidRegistryResponse("a blob redirects to no web address")
        try:
            response = self._request("GET", location, call_timeout(self._timeout))
        except HTTPError as error:
            raise _error_from_urllib3("storage", error) from None
        except ValueError:
            raise InvalidRegistryResponse("a blob redirects to no web address") from None
        if response.status != 200:
            response.close()
            raise RegistryUnavailable(f"the storage answered {response.status}")
        return response

    def read(self, response: BaseHTTPResponse, limit: int) -> bytes:
        """Read a response body completely, and close the response.

        Args:
            response: the response, whose body has not been read yet.
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
            raise RegistryTimeout(f"the answer broke off: {_describe_error(error)}") from None
        except HTTPError as error:
            raise RegistryUnavailable(f"the answer broke off: {_describe_error(error)}") from None
        finally:
            response.close()
        return b"".join(chunks)

    def _raise_error(self, method: str, response: BaseHTTPResponse) -> NoReturn:
        try:
            codes = read_error_codes(self.read(response, 1024 * 1024))
        except InvalidRegistryResponse:
            codes = []
        raise error_from_response(method, response, codes, self.clock.problem)


def _refuse_redirect(response: BaseHTTPResponse) -> NoReturn:
    """Raise InvalidRegistryResponse for an unexpected redirect.

    Most likely, a proxy redirects to its sign-in page. Accepting the redirect as a success would
    corrupt the database's copy of the registry's tags.
    """
    response.close()
    raise InvalidRegistryResponse(f"the registry redirects ({response.status})")


@cache
def _create_tls_context() -> ssl.SSLContext:
    """Return a TLS context that trusts the system's certificates and those of certifi.

    The system's certificates can include a company's own certificate authority. The context is
    created once per process, because loading more than a hundred certificates is slow.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _error_from_urllib3(server: str, error: HTTPError) -> RegistryUnavailable:
    """Return the error to raise if a request got no response.

    Args:
        server: name of the server for the message, such as ``registry``.
        error: the error that urllib3 raised.
    """
    message = f"the {server} can't be reached: {_describe_error(error)}"
    if isinstance(error, ProtocolError):
        return ConnectionBroken(message)
    if isinstance(error, ReadTimeoutError):
        return RegistryTimeout(message)
    return RegistryUnavailable(message)


def _describe_error(error: Exception) -> str:
    """Describe a connection error without the URL, which can contain credentials."""
    if isinstance(error, NewConnectionError | ProtocolError):
        return "no connection"
    if isinstance(error, TooSlow):
        return "no answer in time"
    return type(error).__name__
