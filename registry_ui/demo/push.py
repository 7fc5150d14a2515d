"""A small registry client: handles the challenge, bearer tokens, blobs and manifests.

It sends the same requests as ``docker push`` and ``docker pull``, and shares no
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

WORKERS = 4
#: Pauses in seconds after the attempts that the registry answers with 500 or, for a manifest, with
#: 400: 2.8 can read the link file of a layer while another push rewrites it.
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
        """Parse the header; raise RegistryError if it is not a Bearer challenge."""
        scheme, _, rest = header.partition(" ")
        found = dict(_PARAMETER.findall(rest))
        if scheme.lower() != "bearer" or "realm" not in found:
            raise RegistryError(f"The registry asks for {header!r}, not for a bearer token.")
        return cls(found["realm"], found.get("service", ""), found.get("scope", ""))


@dataclass(slots=True)
class RegistryClient:
    """A client of one registry for one user; anonymous if ``username`` is empty.

    ``trusted`` is the URL of the site whose token endpoint may receive the password;
    a challenge that names another site is refused. If it is empty, any site is accepted.
    """

    base_url: str
    username: str = ""
    password: str = field(default="", repr=False)
    trusted: str = ""
    timeout: float = 15.0
    _local: threading.local = field(default_factory=threading.local, repr=False)
    _tokens: dict[str, str] = field(default_factory=dict, repr=False)
    _present: set[tuple[str, str]] = field(default_factory=set, repr=False)

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
        answer = self._send("GET", self.base_url + "/v2/")
        if answer.status_code == 401:
            return Challenge.parse(answer.headers.get("WWW-Authenticate", ""))
        if answer.status_code != 200:
            raise _refusal(answer, "GET /v2/", self.username)
        return None

    def token(self, challenge: Challenge, scope: str) -> str:
        """Fetch a bearer token for a scope with this user's name and password.

        A scope that is not granted is no error: the token is issued without it.

        Raises:
            RegistryError: the credentials are wrong, or the endpoint is not the trusted one.
        """
        if self.trusted and urlsplit(challenge.realm)[:2] != urlsplit(self.trusted)[:2]:
            raise RegistryError(
                f"The registry at {self.base_url} sends its users to {challenge.realm}, "
                f"not to {self.trusted}. It belongs to another site."
            )
        query = [("service", challenge.service), ("scope", scope)]
        answer = self._send(
            "GET",
            challenge.realm,
            params=[(name, value) for name, value in query if value],
            auth=(self.username, self.password) if self.username else None,
        )
        if answer.status_code != 200:
            raise _refusal(answer, "Asking for a token", self.username)
        body = answer.json()
        return str(body.get("token") or body["access_token"])

    def push(self, repository: str, tags: Mapping[str, Manifest]) -> int:
        """Push the manifests, with everything that they refer to, under their tags.

        Returns:
            The number of tags that were created or changed; 0 if all of them were up to date.
        """
        known = set(self.tags(repository))
        todo = [
            (tag, manifest)
            for tag, manifest in tags.items()
            if tag not in known or not self.holds(repository, tag, manifest.digest)
        ]
        # Push the first one alone, because it fetches the bearer token and uploads the layers that
        # the others share.
        for tag, manifest in todo[:1]:
            self._push_one(repository, tag, manifest)
        with ThreadPoolExecutor(WORKERS) as pool:
            work = [pool.submit(self._push_one, repository, *each) for each in todo[1:]]
            for done in work:
                done.result()
        return len(todo)

    def _push_one(self, repository: str, tag: str, manifest: Manifest) -> None:
        for part in manifest.walk():
            for blob in part.blobs:
                self._put_blob(repository, blob)
            self._put_manifest(repository, tag if part is manifest else part.digest, part)

    def holds(self, repository: str, reference: str, digest: str) -> bool:
        """Return whether a tag or digest exists in the repository and has the given digest."""
        url = f"{repository}/manifests/{reference}"
        answer = self._call("HEAD", url, repository, 200, 404, 500, headers={"Accept": ACCEPT})
        return answer.headers.get("Docker-Content-Digest") == digest

    def pull(self, repository: str, reference: str) -> bytes:
        """Fetch a manifest and check its digest; the registry sends a pull event for it.

        Raises:
            RegistryError: the registry refused, or the digest does not match.
        """
        url = f"{repository}/manifests/{reference}"
        answer = self._call("GET", url, repository, 200, headers={"Accept": ACCEPT})
        if sha256(answer.content) != answer.headers.get("Docker-Content-Digest"):
            raise RegistryError(f"{repository}:{reference} is not what its digest says.")
        return answer.content

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository; an empty list if it does not exist."""
        answer = self._call("GET", f"{repository}/tags/list", repository, 200, 404)
        return list(answer.json().get("tags") or []) if answer.ok else []

    def _put_blob(self, repository: str, blob: Blob) -> None:
        """Upload a blob in one request, unless the repository has it already."""
        key = (repository, blob.digest)
        if key in self._present:
            return
        answer = self._call("HEAD", f"{repository}/blobs/{blob.digest}", repository, 200, 404)
        if answer.status_code == 404:
            begun = self._call("POST", f"{repository}/blobs/uploads/", repository, 202)
            # Use only path and query of Location, because the registry can be wrong about its own
            # host.
            place = urlsplit(begun.headers["Location"])
            joint = "&" if place.query else ""
            self._call(
                "PUT",
                f"{place.path.removeprefix('/v2/')}?{place.query}{joint}digest={blob.digest}",
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
        self, method: str, path: str, repository: str, *expected: int, **more: Any
    ) -> requests.Response:
        """Send a request below ``/v2/``; after a challenge, fetch a token and repeat it once.

        Args:
            method: the HTTP method.
            path: the path below ``/v2/``.
            repository: the repository for which the bearer token is kept.
            expected: the acceptable statuses.
            more: further arguments of the request.

        Raises:
            RegistryError: the response has another status.
        """
        headers = more.pop("headers", {})
        asked = ""
        for attempt in (1, 2):
            if bearer := self._tokens.get(repository):
                headers["Authorization"] = f"Bearer {bearer}"
            answer = self._send(method, f"{self.base_url}/v2/{path}", headers=headers, **more)
            if answer.status_code != 401 or attempt == 2:
                break
            challenge = Challenge.parse(answer.headers.get("WWW-Authenticate", ""))
            asked = challenge.scope
            self._tokens[repository] = self.token(challenge, challenge.scope)
        if answer.status_code not in expected:
            what = f"{method} /v2/{path.partition('?')[0]}"
            raise _refusal(answer, what, self.username, asked)
        return answer

    def _send(self, method: str, url: str, **more: Any) -> requests.Response:
        more.setdefault("headers", {})
        try:
            for pause in PAUSES:
                answer = self._session.request(
                    method, url, timeout=self.timeout, allow_redirects=False, **more
                )
                # 2.8 can fail on the link file of a layer while another push rewrites it.
                if answer.status_code != 500 or "/blobs/uploads/" in url:
                    break
                time.sleep(pause)
        except requests.RequestException as error:
            at = "://".join(urlsplit(url)[:2])
            raise RegistryError(f"{at} does not answer ({type(error).__name__}).") from error
        return answer


def _refusal(answer: requests.Response, what: str, username: str, scope: str = "") -> RegistryError:
    """Return the error for an unexpected response, with the registry's message if it has one.

    Args:
        answer: the response.
        what: the request, for the message.
        username: the user of the request, "" for an anonymous one.
        scope: the scope of the token that was requested, "" for none.
    """
    try:
        first = answer.json()["errors"][0]
        reason = f"{first.get('code', '')}: {first.get('message', '')}"
    except (ValueError, LookupError, TypeError, AttributeError):
        reason = answer.text[:200].strip() or answer.reason
    who = username or "nobody (no account)"
    asked = f"; the token asked for was {scope!r}" if scope else ""
    return RegistryError(
        f"{what} as {who} was refused with {answer.status_code} ({reason}{asked}).",
        answer.status_code,
    )
