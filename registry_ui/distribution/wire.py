"""HTTP to the registry, without trust: limits, deadlines, no redirects, errors as values."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
import urllib3

from ..names import RepositoryName
from .errors import (
    DeletionByTagUnsupported,
    DeletionDisabled,
    RegistryNonsense,
    RegistryNotFound,
    RegistryRefused,
    RegistryUnavailable,
)

#: Returns a bearer token for (repository or None for the catalog, actions).
TokenSource = Callable[[str | None, tuple[str, ...]], str]
#: What a 404 of the registry itself says. A proxy's 404 says nothing about images.
NOT_THERE = frozenset({"NAME_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND"})
#: 2.8 answers 500 to whoever reads a link while a push beside it writes that link again
#: (docs/protocols.md, "Found since"). Seconds before each further attempt.
PAUSES = (0.02, 0.1, 0.3)


class Wire:
    """The connections to one registry; each thread has its own.

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
        self._local = threading.local()

    @property
    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.trust_env = False  # no proxy, no .netrc: the address is the operator's
            session.headers["User-Agent"] = "registry_ui"
            self._local.session = session
        return session

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
    ) -> requests.Response:
        """Make one call with a bearer token for just that; raise RegistryError for a refusal.

        The body of a GET is left to read(); that of any other answer is let go.
        """
        name = None if repository is None else str(repository)
        headers = {"Accept": accept, "Authorization": f"Bearer {self._token_source(name, actions)}"}
        if content_type:
            headers["Content-Type"] = content_type
        response = self._exchange(method, target, headers, body)
        for pause in PAUSES:
            # An upload can't be sent twice; everything else says the same again.
            if response.status_code != 500 or "/blobs/uploads/" in target:
                break
            response.close()
            time.sleep(pause)
            response = self._exchange(method, target, headers, body)
        if response.status_code >= 400:
            self._raise(method, response)
        elif response.status_code >= 300 and not may_redirect:
            # A proxy's way to its sign-in page. Taken for success, it would be believed.
            response.close()
            raise RegistryNonsense(f"the registry redirects ({response.status_code})")
        elif method != "GET":
            response.close()
        return response

    def _exchange(
        self, method: str, target: str, headers: dict[str, str], body: bytes | None
    ) -> requests.Response:
        """Send one request and return the answer, whatever it says."""
        try:
            return self._session.request(
                method,
                self.base_url + target,
                headers=headers,
                data=body,
                timeout=(self._timeout, max(self._timeout, 10.0) if body else self._timeout),
                allow_redirects=False,
                stream=True,
            )
        except requests.RequestException as error:
            raise RegistryUnavailable(f"the registry can't be reached: {_reason(error)}") from None
        except ValueError:
            # requests looks at a Location even where it does not follow it.
            raise RegistryNonsense("the registry gave an address that is none") from None

    def own_place(self, address: str) -> SplitResult:
        """Return path and query of an address that the registry gave; its host is its guess."""
        try:
            place = urlsplit(urljoin(self.base_url + "/", address))
        except ValueError:
            raise RegistryNonsense("the registry gave an address that is none") from None
        if not place.path.startswith("/v2/"):
            raise RegistryNonsense("the registry gave an address that is not its own")
        return place

    def get_elsewhere(self, location: str) -> requests.Response:
        """Get a blob from object storage, whose address carries its own signature."""
        if not location.startswith(("http://", "https://")):
            raise RegistryNonsense("a blob redirects to no web address")
        elsewhere = requests.Session()
        elsewhere.trust_env = False
        try:
            response = elsewhere.get(
                location, timeout=self._timeout, allow_redirects=False, stream=True
            )
        except (requests.RequestException, ValueError) as error:
            raise RegistryUnavailable(f"the storage can't be reached: {_reason(error)}") from None
        if response.status_code != 200:
            raise RegistryUnavailable(f"the storage answered {response.status_code}")
        return response

    def read(self, response: requests.Response, limit: int) -> bytes:
        """Read a body of at most ``limit`` bytes, and not for ever."""
        deadline = time.monotonic() + 5 * self._timeout
        chunks, size = [], 0
        try:
            # What has come so far, not a whole chunk: bytes that trickle in must not hold us.
            while chunk := response.raw.read1(64 * 1024, decode_content=True):
                size += len(chunk)
                if size > limit:
                    raise RegistryNonsense(f"the answer is larger than {limit} bytes")
                if time.monotonic() > deadline:
                    raise RegistryUnavailable("the registry is too slow")
                chunks.append(chunk)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise RegistryUnavailable(f"the answer broke off: {_reason(error)}") from None
        finally:
            response.close()
        return b"".join(chunks)

    def _raise(self, method: str, response: requests.Response) -> None:
        status = response.status_code
        try:
            codes = _error_codes(self.read(response, 1024 * 1024))
        except RegistryNonsense:
            codes = []
        told = f"{status} {' '.join(codes)}".strip()
        if status in {401, 403}:
            raise RegistryRefused(f"the registry did not accept our token ({told})")
        if method == "DELETE" and status == 405:
            raise DeletionDisabled("deletion is switched off in the registry")
        if method == "DELETE" and status == 400 and "DIGEST_INVALID" in codes:
            raise DeletionByTagUnsupported("this registry deletes by digest only")
        ours = response.headers.get("Docker-Distribution-Api-Version") and method == "HEAD"
        if status == 404 and (ours or NOT_THERE.intersection(codes)):
            raise RegistryNotFound(f"the registry does not have it ({told})")
        if status >= 500 or status == 429:
            raise RegistryUnavailable(f"the registry answered {told}")
        raise RegistryNonsense(f"the registry answered {told}")


def _reason(error: Exception) -> str:
    """Say what happened without the address, which may hold more than one wants to show."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return type(error).__name__


def parse_json(body: bytes) -> Any:
    """Parse hostile JSON: too deep a nesting or a huge number is an error like any other.

    Raises RegistryNonsense.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise RegistryNonsense("the registry answered something that is not JSON") from None


def json_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object; raise RegistryNonsense for anything else."""
    value = parse_json(body)
    if not isinstance(value, dict):
        raise RegistryNonsense("the registry answered JSON of another shape")
    return value


def _error_codes(body: bytes) -> list[str]:
    errors = json_object(body).get("errors")
    if not isinstance(errors, list):
        return []
    codes = (str(e.get("code", "")) for e in errors if isinstance(e, dict))
    return [code for code in codes if re.fullmatch(r"[A-Z_]{1,40}", code)]
