"""The registry's HTTP API, as far as a companion needs it.

One fixed base URL; no redirect is followed but that of a blob, and then without
credentials; every read is limited, has a deadline, and is checked against its digest.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

from requests.utils import parse_header_links
from urllib3.response import BaseHTTPResponse

from ..names import TAG, Digest, NameInvalid, RepositoryName, TagName
from .call_timeout import call_timeout
from .errors import (
    InvalidRegistryResponse,
    RegistryError,
    RegistryFault,
    RegistryNotFound,
    RegistryUnavailable,
    Schema1Refused,
)
from .media_types import ACCEPT, IMAGE_TYPES, INDEX_TYPES, OLD_TYPES
from .references import digests_in
from .schema1 import covered_bytes
from .transport import TokenSource, Transport, json_object

#: The registry's own limit on a manifest; the same for configs (PROTOCOLS 4.2).
MAX_DOCUMENT = 4 * 1024 * 1024
#: 5,000 tags of 128 characters take 0.7 MB; ten times a large repository.
MAX_LISTING = 64 * 1024 * 1024
MAX_PAGES = 10_000
SCHEMA_1_OFF = (
    "it is of Docker schema 1, which Distribution 2.8 takes only with "
    "compatibility.schema1.enabled: true in its configuration, and 3.x not at all"
)
#: Timeout in seconds for all pages of a list of tags together, in units of the timeout of one
#: call; and for those of the catalog, for which the registry walks its storage.
TAGS_DEADLINE, CATALOG_DEADLINE = 5, 300
_TAG = re.compile(TAG)
#: Maximum number, and length, of listed names that break the grammar and are kept for a message.
MAX_UNUSABLE, MAX_UNUSABLE_LENGTH = 100, 128
#: Bytes of a list of tags that is kept for the next time: some ten thousand tags.
MAX_REMEMBERED = 512 * 1024
_TAGS = re.compile(rf"{TAG}(?:\n{TAG})*")


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """A manifest's bytes as the registry holds them, verified against the digest.

    The signatures of a manifest of schema 1 are in the body, and the digest leaves them out.
    """

    digest: str
    media_type: str
    body: bytes


class TagNames(list[str]):
    """A list of tags, sorted by bytes. ``unusable`` are listed names that break the grammar."""

    unusable: tuple[str, ...] = ()


class RegistryClient:
    """Talks to one registry. Safe to share between threads: each has its own connections.

    Args:
        base_url: where the registry answers, from the operator's settings only.
        token_source: mints the bearer token of each call, cut down to that call.
        timeout: seconds for a connection and between two reads; a whole read may take
            five times that.
    """

    def __init__(self, base_url: str, token_source: TokenSource, timeout: float = 2.0) -> None:
        self._wire, self._timeout = Transport(base_url, token_source, timeout), timeout

    @property
    def clock_problem(self) -> str | None:
        """How the registry's clock differs from ours, if that matters."""
        return self._wire.clock.problem

    # -- reading ---------------------------------------------------------------

    def ping(self) -> str:
        """Return the registry's API version header; raise RegistryError if it can't be asked."""
        response = self._wire.send("GET", "/v2/", None, ())
        version: str | None = response.headers.get("Docker-Distribution-Api-Version")
        if version is None:  # both majors send it; a page in their place does not
            raise InvalidRegistryResponse("what answers is no registry")
        return version

    def tags(self, repository: RepositoryName) -> TagNames:
        """Return all tags, sorted by bytes; [] for an emptied repository.

        Asked without ``n``, both majors answer with everything at once; where a registry
        pages all the same, its links are followed (PROTOCOLS 4.1). Tags that break the
        grammar are apart: no client could have pushed or could pull them.

        Raises:
            RegistryNotFound: the registry does not know the repository.
        """
        pages = [
            _tags_of(body) if len(body) > MAX_REMEMBERED else _remembered_tags_of(body)
            for body in self._pages(f"/v2/{repository}/tags/list", str(repository), ("pull",))
        ]
        names = TagNames(
            pages[0].tags if len(pages) == 1 else sorted({t for p in pages for t in p.tags})
        )
        names.unusable = tuple(sorted({name for page in pages for name in page.unusable}))
        return names

    def catalog(self) -> Iterator[RepositoryName]:
        """Yield every repository of the registry. Slow: the registry walks its storage."""
        for body in self._pages("/v2/_catalog?n=100", None, ("*",)):
            listed = json_object(body).get("repositories") or []
            if not isinstance(listed, list):
                raise InvalidRegistryResponse("the catalog is no list")
            for name in listed:
                try:
                    yield RepositoryName(name)
                except (NameInvalid, TypeError):
                    continue

    def manifest(self, repository: RepositoryName, reference: TagName | Digest) -> FetchedManifest:
        """Return a manifest of any of the four types.

        Raises:
            RegistryNotFound: no such manifest.
            RegistryNonsense: the body is not what its digest says.
        """
        response = self._wire.send(
            "GET", f"/v2/{repository}/manifests/{reference}", repository, ("pull",), accept=ACCEPT
        )
        media_type = _media_type(response)
        if media_type not in IMAGE_TYPES | INDEX_TYPES | OLD_TYPES:
            response.close()
            raise InvalidRegistryResponse("the registry answered something that is no manifest")
        body = self._wire.read(response, MAX_DOCUMENT)
        covered = covered_bytes(media_type, body)
        digest = _digest_header(response) or str(Digest.of(covered))
        if isinstance(reference, Digest) and digest != str(reference):
            raise InvalidRegistryResponse(f"asked for {reference}, the registry answered {digest}")
        _verify(digest, covered)
        return FetchedManifest(digest, media_type, body)

    def head(self, repository: RepositoryName, reference: TagName | Digest) -> str:
        """Return the digest that a reference stands for now; raise RegistryNotFound for none."""
        response = self._wire.send(
            "HEAD", f"/v2/{repository}/manifests/{reference}", repository, ("pull",), accept=ACCEPT
        )
        digest = _digest_header(response)
        if digest is None:
            raise InvalidRegistryResponse("the registry gave no digest for a manifest")
        return digest

    def blob(self, repository: RepositoryName, digest: Digest) -> bytes:
        """Return a small blob (a config), at most 4 MiB, verified."""
        target = f"/v2/{repository}/blobs/{digest}"
        response = self._wire.send("GET", target, repository, ("pull",), may_redirect=True)
        if response.status >= 300:
            # Object storage: its address carries its own signature; our token stays here.
            response = self._wire.get_elsewhere(response.headers.get("Location", ""))
        body = self._wire.read(response, MAX_DOCUMENT)
        _verify(str(digest), body)
        return body

    def has_blob(self, repository: RepositoryName, digest: Digest) -> bool:
        """Whether the registry says that a repository has a blob."""
        target = f"/v2/{repository}/blobs/{digest}"
        try:
            self._wire.send("HEAD", target, repository, ("pull",), may_redirect=True)
        except RegistryNotFound:
            return False
        return True

    def referrers(self, repository: RepositoryName, digest: Digest) -> list[str] | None:
        """Return the digests of what refers to a manifest.

        None where the registry has no referrers API, as Distribution has none (PROTOCOLS
        4.4): there, clients keep the list under a tag.
        """
        target = f"/v2/{repository}/referrers/{digest}"
        found: list[str] = []
        try:
            for page in self._pages(target, str(repository), ("pull",)):
                found += digests_in(json_object(page).get("manifests"))
        except (RegistryNotFound, InvalidRegistryResponse):
            return None
        return found

    # -- writing ---------------------------------------------------------------

    def mount_blob(
        self, repository: RepositoryName, digest: Digest, source: RepositoryName
    ) -> bool:
        """Let a repository hold a blob of another one, without its bytes coming by here.

        Returns False where the registry began an upload instead, which is given up:
        the source does not hold the blob, or the registry does not mount.
        """
        query = urlencode({"mount": str(digest), "from": str(source)})
        answer = self._wire.send(
            "POST",
            f"/v2/{repository}/blobs/uploads/?{query}",
            repository,
            ("pull", "push"),
            mounted_from=source,
        )
        if answer.status == 201:
            if _digest_header(answer) not in {None, str(digest)}:
                raise InvalidRegistryResponse(
                    f"asked to mount {digest}, the registry mounted another"
                )
            return True
        place = self._wire.own_place(answer.headers.get("Location", ""))
        address = f"{place.path}?{place.query}" if place.query else place.path
        # One that stays is forgotten by the registry itself, after a week.
        with suppress(RegistryError):
            self._wire.send("DELETE", address, repository, ("delete",))
        return False

    def put_blob(self, repository: RepositoryName, body: bytes) -> str:
        """Upload a small blob and return its digest."""
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        rights = ("pull", "push")
        start = self._wire.send("POST", f"/v2/{repository}/blobs/uploads/", repository, rights)
        place = self._wire.own_place(start.headers.get("Location", ""))
        query = urlencode([*parse_qsl(place.query), ("digest", digest)])
        self._wire.send(
            "PUT",
            f"{place.path}?{query}",
            repository,
            rights,
            body=body,
            content_type="application/octet-stream",
        )
        return digest

    def put_manifest(
        self,
        repository: RepositoryName,
        reference: TagName | Digest,
        body: bytes,
        media_type: str,
    ) -> str:
        """Push a manifest under a tag, or by its digest alone, and return its digest.

        Raises:
            PartsMissing: the repository lacks something that the manifest names.
            Schema1Refused: the registry does not take schema 1.
            RegistryNonsense: the registry stored it by another digest.
        """
        if isinstance(reference, Digest):
            digest = str(reference)
        else:
            digest = str(Digest.of(covered_bytes(media_type, body)))
        try:
            answer = self._wire.send(
                "PUT",
                f"/v2/{repository}/manifests/{reference}",
                repository,
                ("pull", "push"),
                body=body,
                content_type=media_type,
            )
        except (RegistryFault, InvalidRegistryResponse):
            if media_type in OLD_TYPES:
                raise Schema1Refused(SCHEMA_1_OFF) from None
            raise
        if _digest_header(answer) not in {None, digest}:
            raise InvalidRegistryResponse(f"the registry stored {digest} by another digest")
        return digest

    def delete_manifest(self, repository: RepositoryName, reference: TagName | Digest) -> None:
        """Delete by digest (with every tag that points to it), or by tag on 3.x.

        Raises:
            RegistryNotFound: it is gone already.
            DeletionDisabled: the registry's configuration forbids it.
            DeletionByTagUnsupported: a tag was given and this is 2.8.
        """
        target = f"/v2/{repository}/manifests/{reference}"
        self._wire.send("DELETE", target, repository, ("delete",))

    def _pages(
        self, path: str, repository: str | None, actions: tuple[str, ...]
    ) -> Iterator[bytes]:
        target, seen = path, set[str]()
        name = None if repository is None else RepositoryName(repository)
        patience = CATALOG_DEADLINE if repository is None else TAGS_DEADLINE
        deadline = time.monotonic() + patience * call_timeout(self._timeout)
        for _ in range(MAX_PAGES):
            if time.monotonic() > deadline:
                raise RegistryUnavailable("the registry takes too long to list")
            seen.add(target)
            response = self._wire.send("GET", target, name, actions)
            yield self._wire.read(response, MAX_LISTING)
            # Only the query of the Link counts; a page that leads to itself ends the list.
            link = _next(response.headers.get("Link", ""))
            if not link:
                return
            parts = self._wire.own_place(link)
            here, target = target, f"{path.partition('?')[0]}?{parts.query}"
            if target == here:
                return
            if target in seen:
                raise InvalidRegistryResponse("the pages of the listing lead in a circle")
        raise InvalidRegistryResponse("the listing has no end")


def _next(links: str) -> str | None:
    """Return where a Link header says that the next page is."""
    found = (link["url"] for link in parse_header_links(links) if link.get("rel") == "next")
    return next(found, None)


@dataclass(frozen=True, slots=True)
class _TagPage:
    """The names of one answer: tags, sorted, and the first names that can't be tags."""

    tags: tuple[str, ...]
    unusable: tuple[str, ...] = ()


def _tags_of(body: bytes) -> _TagPage:
    """Return the names of an answer of the registry."""
    page = json_object(body)
    if "tags" not in page:  # null for an emptied repository, but never absent
        raise InvalidRegistryResponse("the registry answered JSON of another shape")
    names = page["tags"] or []
    if not isinstance(names, list):
        raise InvalidRegistryResponse("the list of tags is no list")
    if _are_tags(names):
        return _TagPage(tuple(sorted(set(names))))
    unusable = [name for name in names if isinstance(name, str) and not _TAG.fullmatch(name)]
    shortened = (name[:MAX_UNUSABLE_LENGTH] for name in unusable[:MAX_UNUSABLE])
    return _TagPage(tuple(sorted(set(filter(_is_tag, names)))), tuple(shortened))


#: A list that is the same as last time is not read again: that of thousands takes milliseconds.
_remembered_tags_of = lru_cache(maxsize=16)(_tags_of)


def _are_tags(names: list[Any]) -> bool:
    """Whether all of them are tags, at a tenth of the price of asking for each."""
    try:
        text = "\n".join(names)
    except TypeError:
        return False
    return text.count("\n") == len(names) - 1 and _TAGS.fullmatch(text) is not None


def _is_tag(name: Any) -> bool:
    return isinstance(name, str) and _TAG.fullmatch(name) is not None


def _digest_header(response: BaseHTTPResponse) -> str | None:
    value = response.headers.get("Docker-Content-Digest")
    if value is None:
        return None
    try:
        return str(Digest(value))
    except NameInvalid:
        raise InvalidRegistryResponse("the registry gave a digest that is none") from None


def _media_type(response: BaseHTTPResponse) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip()[:255]


def _verify(digest: str, body: bytes) -> None:
    algorithm, _, expected = digest.partition(":")
    if hashlib.new(algorithm, body).hexdigest() != expected:
        raise InvalidRegistryResponse(f"the content is not what its digest {digest[:19]}… says")
