"""Client for the part of the registry's HTTP API that this application needs.

The base URL is fixed. Only redirects of blob downloads are followed, without sending credentials.
Every response body has a size limit and a deadline, and content is verified against its digest.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from requests.utils import parse_header_links
from urllib3.response import BaseHTTPResponse

from ..names import Digest, NameInvalid, RepositoryName, TagName
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
from .tag_list import TagNames, parse_tag_list
from .transport import RequestOptions, TokenSource, Transport
from .untrusted import json_object

#: Maximum size in bytes of a manifest, which is also the registry's limit (PROTOCOLS 4.2), and
#: of a blob that is read into memory, such as a config.
MAX_DOCUMENT = 4 * 1024 * 1024
#: Maximum size in bytes of one page of a listing: 500,000 tags of the maximum length.
MAX_LISTING = 64 * 1024 * 1024
#: Maximum number of pages of a listing, so that a faulty registry can't cause an endless loop.
MAX_PAGES = 10_000
SCHEMA_1_OFF = (
    "it is of Docker schema 1, which Distribution 2.8 takes only with "
    "compatibility.schema1.enabled: true in its configuration, and 3.x not at all"
)
#: Time limits for reading all pages of a tag list, and all pages of the catalog, as multiples of
#: the timeout of one call. The catalog is slow because the registry walks its storage to list it.
TAGS_DEADLINE, CATALOG_DEADLINE = 5, 300
MANIFEST_OPTIONS = RequestOptions(accept=ACCEPT)
BLOB_OPTIONS = RequestOptions(may_redirect=True)


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """A manifest as the registry served it, verified against its digest.

    The body of a signed schema 1 manifest includes its signatures; the digest does not cover
    them.
    """

    digest: str
    media_type: str
    body: bytes


class RegistryClient:
    """A client for one registry. It is safe to share between threads.

    Args:
        base_url: URL of the registry. It must come from the operator's settings.
        token_source: issues a bearer token for each call, restricted to that call.
        timeout: timeout in seconds for connecting, and for each read from the socket unless
            at_least() or a request body requires a longer one. Reading a whole response body can
            take up to five times the read timeout.
    """

    def __init__(self, base_url: str, token_source: TokenSource, timeout: float = 2.0) -> None:
        self._transport, self._timeout = Transport(base_url, token_source, timeout), timeout

    @property
    def clock_problem(self) -> str | None:
        """A warning if the registry's clock differs too much from this server's; otherwise None."""
        return self._transport.clock.problem

    # -- reading ---------------------------------------------------------------

    def ping(self) -> str:
        """Return the registry's API version header.

        Raises:
            RegistryError: the registry can't be reached or refuses the token, or the server is not
                a registry.
        """
        response = self._transport.send("GET", "/v2/", None, ())
        version: str | None = response.headers.get("Docker-Distribution-Api-Version")
        # Distribution 2.8 and 3.x both send this header. A server that is not a registry does not.
        if version is None:
            raise InvalidRegistryResponse("what answers is no registry")
        return version

    def tags(self, repository: RepositoryName) -> TagNames:
        """Return all tags of a repository in byte order; [] if all of them were deleted.

        Without the parameter ``n``, Distribution 2.8 and 3.x return the whole list at once. If a
        registry returns pages anyway, the links between them are followed (PROTOCOLS 4.1). Listed
        names that are not valid tags are only in the attribute ``unusable`` of the result, because
        no client can push or pull them.

        Raises:
            RegistryNotFound: the registry does not have the repository.
        """
        path = f"/v2/{repository}/tags/list"
        return parse_tag_list(self._fetch_pages(path, str(repository), ("pull",)))

    def catalog(self) -> Iterator[RepositoryName]:
        """Yield the names of all repositories in the registry, except names that are not valid.

        Listing the repositories is slow, because the registry walks its storage.
        """
        for body in self._fetch_pages("/v2/_catalog?n=100", None, ("*",)):
            names = json_object(body).get("repositories") or []
            if not isinstance(names, list):
                raise InvalidRegistryResponse("the catalog is no list")
            for name in names:
                try:
                    yield RepositoryName(name)
                except (NameInvalid, TypeError):
                    continue

    def manifest(self, repository: RepositoryName, reference: TagName | Digest) -> FetchedManifest:
        """Fetch a manifest or OCI index, including schema 1 manifests, and verify its digest.

        Raises:
            RegistryNotFound: the manifest does not exist.
            InvalidRegistryResponse: the response is not a manifest, or does not match its digest.
        """
        target = f"/v2/{repository}/manifests/{reference}"
        response = self._transport.send("GET", target, repository, ("pull",), MANIFEST_OPTIONS)
        media_type = _read_media_type(response)
        if media_type not in IMAGE_TYPES | INDEX_TYPES | OLD_TYPES:
            response.close()
            raise InvalidRegistryResponse("the registry answered something that is no manifest")
        body = self._transport.read(response, MAX_DOCUMENT)
        content = covered_bytes(media_type, body)
        digest = _read_digest_header(response) or str(Digest.of(content))
        if isinstance(reference, Digest) and digest != str(reference):
            raise InvalidRegistryResponse(f"asked for {reference}, the registry answered {digest}")
        _verify(digest, content)
        return FetchedManifest(digest, media_type, body)

    def head(self, repository: RepositoryName, reference: TagName | Digest) -> str:
        """Return the digest of an existing manifest, or of the one to which a tag currently points.

        Raises:
            RegistryNotFound: the tag or manifest does not exist.
        """
        target = f"/v2/{repository}/manifests/{reference}"
        response = self._transport.send("HEAD", target, repository, ("pull",), MANIFEST_OPTIONS)
        digest = _read_digest_header(response)
        if digest is None:
            raise InvalidRegistryResponse("the registry gave no digest for a manifest")
        return digest

    def blob(self, repository: RepositoryName, digest: Digest) -> bytes:
        """Fetch a small blob, such as a config, and verify its digest.

        Raises:
            RegistryNotFound: the repository does not have the blob.
            ContentTooLarge: the blob is larger than 4 MiB.
            InvalidRegistryResponse: the content does not match the digest.
        """
        target = f"/v2/{repository}/blobs/{digest}"
        response = self._transport.send("GET", target, repository, ("pull",), BLOB_OPTIONS)
        if response.status >= 300:
            # The redirect leads to object storage. Its URL is signed, so our token is not sent.
            response = self._transport.get_from_storage(response.headers.get("Location", ""))
        body = self._transport.read(response, MAX_DOCUMENT)
        _verify(str(digest), body)
        return body

    def has_blob(self, repository: RepositoryName, digest: Digest) -> bool:
        """Return whether a repository has a blob, according to the registry."""
        target = f"/v2/{repository}/blobs/{digest}"
        try:
            self._transport.send("HEAD", target, repository, ("pull",), BLOB_OPTIONS)
        except RegistryNotFound:
            return False
        return True

    def referrers(self, repository: RepositoryName, digest: Digest) -> list[str] | None:
        """Return the digests of a manifest's referrers, using the OCI referrers API.

        Returns:
            The digests, or None if the registry has no referrers API. Distribution has none
            (PROTOCOLS 4.4), so clients store the list of referrers in an OCI index under a tag.
        """
        target = f"/v2/{repository}/referrers/{digest}"
        digests: list[str] = []
        try:
            for page in self._fetch_pages(target, str(repository), ("pull",)):
                digests += digests_in(json_object(page).get("manifests"))
        except (RegistryNotFound, InvalidRegistryResponse):
            return None
        return digests

    # -- writing ---------------------------------------------------------------

    def mount_blob(
        self, repository: RepositoryName, digest: Digest, source: RepositoryName
    ) -> bool:
        """Mount a blob from a source repository, which makes it available without an upload.

        Returns:
            True if the blob was mounted. False if the registry started an upload instead, because
            the source does not have the blob or because mounts are not supported. That upload is
            canceled.
        """
        query = urlencode({"mount": str(digest), "from": str(source)})
        response = self._transport.send(
            "POST",
            f"/v2/{repository}/blobs/uploads/?{query}",
            repository,
            ("pull", "push"),
            RequestOptions(mounted_from=source),
        )
        if response.status == 201:
            if _read_digest_header(response) not in {None, str(digest)}:
                raise InvalidRegistryResponse(
                    f"asked to mount {digest}, the registry mounted another"
                )
            return True
        location = self._transport.parse_location(response.headers.get("Location", ""))
        upload = f"{location.path}?{location.query}" if location.query else location.path
        # Canceling is optional: the registry purges abandoned uploads after a week.
        with suppress(RegistryError):
            self._transport.send("DELETE", upload, repository, ("delete",))
        return False

    def put_blob(self, repository: RepositoryName, body: bytes) -> str:
        """Upload a small blob and return its digest."""
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        actions = ("pull", "push")
        response = self._transport.send(
            "POST", f"/v2/{repository}/blobs/uploads/", repository, actions
        )
        location = self._transport.parse_location(response.headers.get("Location", ""))
        query = urlencode([*parse_qsl(location.query), ("digest", digest)])
        self._transport.send(
            "PUT",
            f"{location.path}?{query}",
            repository,
            actions,
            RequestOptions(body=body, content_type="application/octet-stream"),
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
            PartsMissing: the repository lacks a blob or manifest that the manifest references.
            Schema1Refused: the registry does not accept schema 1.
            InvalidRegistryResponse: the registry stored the manifest under an unexpected digest.
        """
        if isinstance(reference, Digest):
            digest = str(reference)
        else:
            digest = str(Digest.of(covered_bytes(media_type, body)))
        try:
            response = self._transport.send(
                "PUT",
                f"/v2/{repository}/manifests/{reference}",
                repository,
                ("pull", "push"),
                RequestOptions(body=body, content_type=media_type),
            )
        except (RegistryFault, InvalidRegistryResponse):
            if media_type in OLD_TYPES:
                raise Schema1Refused(SCHEMA_1_OFF) from None
            raise
        if _read_digest_header(response) not in {None, digest}:
            raise InvalidRegistryResponse(f"the registry stored {digest} by another digest")
        return digest

    def delete_manifest(self, repository: RepositoryName, reference: TagName | Digest) -> None:
        """Delete a manifest with all tags that point to it, or only a tag.

        Args:
            repository: the repository to delete from.
            reference: the digest of the manifest, or a tag (supported by Distribution 3.x only).

        Raises:
            RegistryNotFound: the manifest or tag does not exist.
            DeletionDisabled: the registry's configuration forbids deletion.
            DeletionByTagUnsupported: a tag was given, and the registry is Distribution 2.8.
        """
        target = f"/v2/{repository}/manifests/{reference}"
        self._transport.send("DELETE", target, repository, ("delete",))

    def _fetch_pages(
        self, path: str, repository: str | None, actions: tuple[str, ...]
    ) -> Iterator[bytes]:
        target, visited = path, set[str]()
        name = None if repository is None else RepositoryName(repository)
        factor = CATALOG_DEADLINE if repository is None else TAGS_DEADLINE
        deadline = time.monotonic() + factor * call_timeout(self._timeout)
        for _ in range(MAX_PAGES):
            if time.monotonic() > deadline:
                raise RegistryUnavailable("the registry takes too long to list")
            visited.add(target)
            response = self._transport.send("GET", target, name, actions)
            yield self._transport.read(response, MAX_LISTING)
            # Only the query of the Link header is used, because its host can be wrong. A page
            # that links to itself is the last one.
            link = _find_next_link(response.headers.get("Link", ""))
            if not link:
                return
            parts = self._transport.parse_location(link)
            previous, target = target, f"{path.partition('?')[0]}?{parts.query}"
            if target == previous:
                return
            if target in visited:
                raise InvalidRegistryResponse("the pages of the listing lead in a circle")
        raise InvalidRegistryResponse("the listing has no end")


def _find_next_link(links: str) -> str | None:
    """Return the URL of the next page from a Link header, or None on the last page."""
    urls = (link["url"] for link in parse_header_links(links) if link.get("rel") == "next")
    return next(urls, None)


def _read_digest_header(response: BaseHTTPResponse) -> str | None:
    value = response.headers.get("Docker-Content-Digest")
    if value is None:
        return None
    try:
        return str(Digest(value))
    except NameInvalid:
        raise InvalidRegistryResponse("the registry gave a digest that is none") from None


def _read_media_type(response: BaseHTTPResponse) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip()[:255]


def _verify(digest: str, body: bytes) -> None:
    algorithm, _, expected_hash = digest.partition(":")
    if hashlib.new(algorithm, body).hexdigest() != expected_hash:
        raise InvalidRegistryResponse(f"the content is not what its digest {digest[:19]}… says")
