"""What can be pulled from a registry, by tag and by digest."""

from __future__ import annotations

from registry_ui.demo.images import Manifest
from registry_ui.demo.push import ACCEPT
from registry_ui.names import is_trash_tag

from .hostile_storage import MISSING
from .live import LiveSite


def digest_of(site: LiveSite, repository: str, reference: str) -> str | None:
    """Return the digest of what can be pulled by this reference; None if nothing can."""
    url = f"{repository}/manifests/{reference}"
    answer = site.pusher._call("HEAD", url, repository, 200, 404, 500, headers={"Accept": ACCEPT})
    return answer.headers["Docker-Content-Digest"] if answer.status_code == 200 else None


def pullable(site: LiveSite, repository: str) -> dict[str, str]:
    """Return the tags that can be pulled, apart from those of the trash, and their digests."""
    tags = [tag for tag in site.pusher.tags(repository) if not is_trash_tag(tag)]
    found = {tag: digest_of(site, repository, tag) for tag in tags}
    return {tag: digest for tag, digest in found.items() if digest}


def assert_whole(site: LiveSite, repository: str, manifest: Manifest) -> None:
    """Check that a manifest can be pulled with all its parts that were ever pushed."""
    for part in manifest.walk():
        if part.digest == MISSING.digest:
            continue
        assert digest_of(site, repository, part.digest) == part.digest
        for blob in part.blobs:
            site.pusher._call("HEAD", f"{repository}/blobs/{blob.digest}", repository, 200)


def digests(site: LiveSite, repository: str) -> dict[str, str]:
    """Return what each tag stands for."""
    found = {}
    for tag in site.pusher.tags(repository):
        url = f"{repository}/manifests/{tag}"
        answer = site.pusher._call("HEAD", url, repository, 200, headers={"Accept": ACCEPT})
        found[tag] = answer.headers["Docker-Content-Digest"]
    return found
