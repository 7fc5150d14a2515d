"""A small registry client: handles the challenge, bearer tokens, blobs, and manifests.

The client sends the same requests as ``docker push`` and ``docker pull``, and shares no
code with the application.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import requests

from .images import DOCKER, OCI, Blob, Manifest, sha256

MAX_WORKERS = 4
#: Pauses in seconds before a request is repeated that the registry answered with 500 or, for a
#: manifest, with 400: Distribution 2.8 can read the link file of a layer while another push
#: rewrites the file.
PAUSES = (0.02, 0.1, 0.5)
ACCEPT = f"{OCI.index}, {OCI.manifest}, {DOCKER.index}, {DOCKER.manifest}"
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


class RegistryError(Exception):
    """The registry or the token endpoint refused a request, or failed.

    The message names the request; ``status`` is the HTTP status, 0 if there was no response.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Challenge:
    """The challenge of a ``WWW-Authenticate: Bearer …`` header (PROTOCOLS 1.1)."""

    realm: str
    service: str
    scope: str

    @classmethod
    def parse(cls, header: str) -> Challenge:
        """Parse a ``WWW-Authenticate`` header; raise RegistryError if its scheme is not Bearer."""
        scheme, _, rest = header.partition(" ")
        parameters = dict(_PARAMETER.findall(rest))
        if scheme.lower() != "bearer" or "realm" not in parameters:
            raise RegistryError(f"The registry asks for {header!r}, not for a bearer token.")
        return cls(parameters["realm"], parameters.get("service", ""), parameters.get("scope", ""))


@dataclass(slots=True)
class RegistryClient:
    """A client of one registry for one user; anonymous if ``username`` is empty.

    ``trusted`` is the URL of the site whose token endpoint may receive the password;
    a challenge with a different site is refused. If ``trusted`` is empty, any site is accepted.
    ``timeout`` is the timeout of a request in seconds.
    """

    base_url: str
    username: str = ""
    password: str = field(default="", repr=False)
    trusted: str = ""
    timeout: float = 15.0
    _local: threading.local = field(default_factory=threading.local, repr=False)
    _tokens: dict[str, str] = field(default_factory=dict, repr=False)
    _present: set[tuple[str, str]] = field(default_factory=set, repr=False)
    #: Locks by digest only, because a subclass can upload blobs to a repository that is not that of
    #: the push.
    _upload_locks: dict[str, threading.Lock] = field(default_factory=dict, repr=False)

    @property
    def _session(self) -> requests.Session:
        """The HTTP session of the current thread, which reuses its connections."""
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            # Ignore proxies and ~/.netrc, because the registry is usually on this machine.
            self._local.session.trust_env = False
        return cast(requests.Session, self._local.session)

    def challenge(self) -> Challenge | None:
        """Return the challenge of ``/v2/``; None if the registry needs no authentication."""
        response = self._send("GET", self.base_url + "/v2/")
        if response.status_code == 401:
            return Challenge.parse(response.headers.get("WWW-Authenticate", ""))
        if response.status_code != 200:
            raise _error_from_response(response, "GET /v2/", self.username)
        return None

    def token(self, challenge: Challenge, scope: str) -> str:
        """Fetch a bearer token for a scope with this user's name and password.

        A scope that is not granted is not an error: the token is issued without that scope.

        Raises:
            RegistryError: the token endpoint is not on the trusted site, or refuses the request,
                for example because the credentials are wrong.
        """
        if self.trusted and urlsplit(challenge.realm)[:2] != urlsplit(self.trusted)[:2]:
            raise RegistryError(
                f"The registry at {self.base_url} sends its users to {challenge.realm}, "
                f"not to {self.trusted}. It belongs to another site."
            )
        query = [("service", challenge.service), ("scope", scope)]
        response = self._send(
            "GET",
            challenge.realm,
            params=[(name, value) for name, value in query if value],
            auth=(self.username, self.password) if self.username else None,
        )
        if response.status_code != 200:
            raise _error_from_response(response, "Asking for a token", self.username)
        body = response.json()
        return str(body.get("token") or body["access_token"])

    def push(self, repository: str, tags: Mapping[str, Manifest]) -> int:
        """Push the manifests, with their blobs and child manifests, under their tags.

        Returns:
            The number of tags that were created or changed; 0 if all of them were up to date.
        """
        present_tags = set(self.tags(repository))
        missing = [
            (tag, manifest)
            for tag, manifest in tags.items()
            if tag not in present_tags or not self.holds(repository, tag, manifest.digest)
        ]
        # Push the first manifest alone, because this fetches the bearer token and uploads the
        # layers that the other manifests share.
        for tag, manifest in missing[:1]:
            self._push_one(repository, tag, manifest)
        with ThreadPoolExecutor(MAX_WORKERS) as pool:
            futures = [
                pool.submit(self._push_one, repository, tag, manifest)
                for tag, manifest in missing[1:]
            ]
            for future in futures:
                future.result()
        return len(missing)

    def _push_one(self, repository: str, tag: str, manifest: Manifest) -> None:
        for part in manifest.walk():
            for blob in part.blobs:
                # Two manifests of a push can share a blob. Distribution 2.8 rewrites its link for
                # each upload, and answers 500 to requests that read the link at that moment
                # (docs/protocols.md, "Found since").
                with self._upload_locks.setdefault(blob.digest, threading.Lock()):
                    self._put_blob(repository, blob)
            self._put_manifest(repository, tag if part is manifest else part.digest, part)

    def holds(self, repository: str, reference: str, digest: str) -> bool:
        """Return whether a tag or digest exists in the repository and has the given digest."""
        url = f"{repository}/manifests/{reference}"
        response = self._call("HEAD", url, repository, 200, 404, 500, headers={"Accept": ACCEPT})
        return response.headers.get("Docker-Content-Digest") == digest

    def pull(self, repository: str, reference: str) -> bytes:
        """Fetch a manifest, check its digest, and return its bytes.

        The registry sends a notification about the pull.

        Raises:
            RegistryError: the registry refused the request, or the digest does not match.
        """
        url = f"{repository}/manifests/{reference}"
        response = self._call("GET", url, repository, 200, headers={"Accept": ACCEPT})
        if sha256(response.content) != response.headers.get("Docker-Content-Digest"):
            raise RegistryError(f"{repository}:{reference} is not what its digest says.")
        return response.content

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository; an empty list if it does not exist."""
        response = self._call("GET", f"{repository}/tags/list", repository, 200, 404)
        return list(response.json().get("tags") or []) if response.ok else []

    def _put_blob(self, repository: str, blob: Blob) -> None:
        """Upload a blob in one request, unless the repository has it already."""
        key = (repository, blob.digest)
        if key in self._present:
            return
        response = self._call("HEAD", f"{repository}/blobs/{blob.digest}", repository, 200, 404)
        if response.status_code == 404:
            upload = self._call("POST", f"{repository}/blobs/uploads/", repository, 202)
            # Use only the path and the query of Location, because the registry can report a wrong
            # host for itself.
            location = urlsplit(upload.headers["Location"])
            separator = "&" if location.query else ""
            self._call(
                "PUT",
                f"{location.path.removeprefix('/v2/')}?{location.query}{separator}digest={blob.digest}",
                repository,
                201,
                data=blob.data,
                headers={"Content-Type": "application/octet-stream"},
            )
        self._present.add(key)

    def _put_manifest(self, repository: str, reference: str, manifest: Manifest) -> None:
        for pause in (*PAUSES, None):
            try:
                self._call(
                    "PUT",
                    f"{repository}/manifests/{reference}",
                    repository,
                    201,
                    data=manifest.data,
                    headers={"Content-Type": manifest.media_type},
                )
            except RegistryError as error:
                if error.status != 400 or pause is None:
                    raise
                time.sleep(pause)
            else:
                return

    def _call(
        self, method: str, path: str, repository: str, *expected: int, **options: Any
    ) -> requests.Response:
        """Send a request below ``/v2/``; after a challenge, fetch a token and repeat the request.

        Args:
            method: the HTTP method.
            path: the path below ``/v2/``.
            repository: the repository name under which the bearer token is kept for reuse.
            expected: the acceptable HTTP statuses.
            options: further arguments of ``requests.Session.request``.

        Raises:
            RegistryError: the status of the response is not in ``expected``.
        """
        headers = options.pop("headers", {})
        requested_scope = ""
        for attempt in (1, 2):
            if bearer := self._tokens.get(repository):
                headers["Authorization"] = f"Bearer {bearer}"
            response = self._send(method, f"{self.base_url}/v2/{path}", headers=headers, **options)
            if response.status_code != 401 or attempt == 2:
                break
            challenge = Challenge.parse(response.headers.get("WWW-Authenticate", ""))
            requested_scope = challenge.scope
            self._tokens[repository] = self.token(challenge, challenge.scope)
        if response.status_code not in expected:
            request = f"{method} /v2/{path.partition('?')[0]}"
            raise _error_from_response(response, request, self.username, requested_scope)
        return response

    def _send(self, method: str, url: str, **options: Any) -> requests.Response:
        options.setdefault("headers", {})
        try:
            for pause in PAUSES:
                response = self._session.request(
                    method, url, timeout=self.timeout, allow_redirects=False, **options
                )
                # Distribution 2.8 can fail on a layer's link file while another push rewrites it.
                if response.status_code != 500 or "/blobs/uploads/" in url:
                    break
                time.sleep(pause)
        except requests.RequestException as error:
            address = "://".join(urlsplit(url)[:2])
            raise RegistryError(f"{address} does not answer ({type(error).__name__}).") from error
        return response


def _error_from_response(
    response: requests.Response, request: str, username: str, scope: str = ""
) -> RegistryError:
    """Return the error for an unexpected response, with the registry's message if it has one.

    Args:
        response: the response.
        request: description of the request, for the message.
        username: the user who sent the request, "" for an anonymous user.
        scope: the scope of the bearer token that was requested, "" if none was requested.
    """
    try:
        first = response.json()["errors"][0]
        reason = f"{first.get('code', '')}: {first.get('message', '')}"
    except (ValueError, LookupError, TypeError, AttributeError):
        reason = response.text[:200].strip() or response.reason
    user = username or "nobody (no account)"
    scope_note = f"; the token asked for was {scope!r}" if scope else ""
    return RegistryError(
        f"{request} as {user} was refused with {response.status_code} ({reason}{scope_note}).",
        response.status_code,
    )
