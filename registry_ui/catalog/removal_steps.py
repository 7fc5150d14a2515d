"""The steps of a removal: each looks again just before it acts, and is safe to repeat."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from ..distribution.client import FetchedManifest
from ..distribution.errors import (
    DeletionByTagUnsupported,
    DeletionDisabled,
    RegistryError,
    RegistryNotFound,
    RegistryUnavailable,
)
from ..distribution.manifest import PLACEHOLDER_ANNOTATION, every_child, every_digest
from ..distribution.media_types import INDEX_TYPES
from ..extensions import db, release, writing
from ..models import ContainerImage, Manifest, Place, Project, RegistryEvent, Removal, utc_now
from ..names import Digest, RepositoryName, TagName, is_binned
from ..token_auth.signer import OWN_SUBJECT
from .binning import forget, put_into_bin, take_back
from .connection import registry
from .facts import fetch, known
from .lease import Cancelled, Lease, Stopped
from .parts import parts_of
from .reach import closure
from .reconcile import digests_of, reconcile
from .work import StepFailed

T = TypeVar("T")

logger = logging.getLogger(__name__)

#: More parts of one index than this are no image, but a trap; those that are not there count too.
MAX_PARTS = 2000
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
#: So often a placeholder is tried for one tag.
ATTEMPTS = 3
PLACEHOLDER_CONFIG = "application/vnd.registry-ui.placeholder.v1+json"
SWITCHED_OFF = (
    "Deletion is switched off in the registry. Set storage.delete.enabled: true in its "
    "configuration, restart it, and try again."
)
IN_THE_BIN = "in the bin"
MOVED = "it points to another image since the preview"
#: So many tags or manifests are asked for between two signs of life.
BATCH = 200
#: Seconds that the parts of so many manifests may take to be read.
LOOK_DEADLINE = 300.0
#: A look at what tags need holds for so many seconds, or twice as long as it took.
LOOK_SECONDS = 1.0
#: The registry's clock may be so far behind ours.
CLOCKS_DIFFER = timedelta(minutes=1)


def _tag_step(lease: Lease[Removal], number: int, step: dict[str, Any]) -> tuple[str, str]:
    """Remove one tag and no other, by way of the bin where the step says so."""
    if "bin" not in step:
        return _remove_tag(lease, number, step)
    repository, tag = RepositoryName(step["repository"]), TagName(step["tag"])
    release()
    if _ask(lambda: registry().head(repository, tag)) == step["digest"]:
        try:
            put_into_bin(lease.work, step)
        except RegistryUnavailable as error:
            raise StepFailed(f"{error}. {tag} was not touched; delete again to go on.") from None
        except RegistryError as error:
            return "kept", f"the bin can't keep it ({error}); delete it for good"
    outcome, detail = _remove_tag(lease, number, step)
    if outcome == "kept":
        take_back(step)
    return (IN_THE_BIN, "") if outcome == "deleted" else (outcome, detail)


def _purge_step(lease: Lease[Removal], number: int, step: dict[str, Any]) -> tuple[str, str]:
    """Remove a tag of the bin, and forget it there."""
    outcome, detail = _remove_tag(lease, number, step)
    forget(step)
    return outcome, detail


def _remove_tag(lease: Lease[Removal], number: int, step: dict[str, Any]) -> tuple[str, str]:
    """Remove one tag and no other: by tag on 3.x, by a placeholder on 2.8 (PROTOCOLS 4.3)."""
    repository, tag = RepositoryName(step["repository"]), TagName(step["tag"])
    release()
    now = _ask(lambda: registry().head(repository, tag))
    if now is None and not _is_listed(repository, tag):
        return "gone already", ""
    if now is not None and now == lease.prepared(db.session(), number):
        _ask(lambda: registry().delete_manifest(repository, Digest(now)))
        if not _dangles(repository, tag):
            return "deleted", ""
    elif now is not None and now != step["digest"]:
        return "kept", MOVED
    try:
        _ask(lambda: registry().delete_manifest(repository, tag))
    except DeletionByTagUnsupported:
        # So deletion is on (it would say 405), and this is 2.8.
        return _by_placeholder(lease, number, step, tag)
    return "deleted", ""


def _is_listed(repository: RepositoryName, tag: TagName) -> bool:
    return str(tag) in (_ask(lambda: registry().tags(repository)) or [])


def _dangles(repository: RepositoryName, tag: TagName) -> bool:
    """Whether a tag is listed and stands for nothing.

    2.8 deletes a manifest first and looks for its tags afterwards: where it stumbles over
    a tag that is written beside, the tags stay (docs/protocols.md, "Found since").
    """
    gone = _ask(lambda: registry().head(repository, tag)) is None
    return gone and _is_listed(repository, tag)


def _by_placeholder(
    lease: Lease[Removal], number: int, step: dict[str, Any], tag: TagName
) -> tuple[str, str]:
    """Point the tag to a manifest that nothing else points to, and delete that by digest."""
    repository = RepositoryName(step["repository"])
    ours = {step.get("digest")}
    for _ in range(ATTEMPTS):
        body = _prepare_placeholder(lease, number, step)
        # Preparing took some calls: whoever pushed meanwhile was told that it worked.
        now = _ask(lambda: registry().head(repository, tag))
        if now is None and not _is_listed(repository, tag):
            return "gone already", ""
        if now is not None and now not in ours:
            return "kept", MOVED
        digest = Digest.of(body)
        ours.add(str(digest))
        _ask(lambda body=body: registry().put_manifest(repository, tag, body, OCI_MANIFEST))
        _ask(lambda digest=digest: registry().delete_manifest(repository, digest))
        if not _dangles(repository, tag):
            return "deleted", ""
    raise StepFailed(f"the registry still lists {tag}, which stands for nothing. Delete it again.")


def _prepare_placeholder(lease: Lease[Removal], number: int, step: dict[str, Any]) -> bytes:
    """Push what a placeholder needs and return the manifest, which is not pushed yet.

    Its digest is stored first: a worker that dies in between leaves a tag that the next
    one knows as its own.
    """
    repository = RepositoryName(step["repository"])
    mark = f"{lease.work.id}/{number} {utc_now().isoformat()}"
    # A config that nobody else pushes at this moment: 2.8 may refuse a manifest while
    # one of its blobs is written again.
    config = json.dumps({PLACEHOLDER_ANNOTATION: mark}).encode()
    body = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {
                "mediaType": PLACEHOLDER_CONFIG,
                "digest": _ask(lambda: registry().put_blob(repository, config)),
                "size": len(config),
            },
            "layers": [],
            "annotations": {PLACEHOLDER_ANNOTATION: mark},
        }
    ).encode()
    lease.prepare(number, step, str(Digest.of(body)))
    return body


def _image_step(lease: Lease[Removal], number: int, step: dict[str, Any]) -> tuple[str, str]:
    """Remove every manifest that the previewed tags stand for, indexes before their children.

    What a tag outside the preview stands for stays, with everything that it may need.
    """
    repository = RepositoryName(step["repository"])
    release()
    planned: dict[str, str] = step["tags"]
    doomed: dict[str, None] = {}
    safe: set[str] = set()
    kept = []
    for tag in _ask(lambda: registry().tags(repository)) or []:
        lease.hold()
        now = _ask(lambda tag=tag: registry().manifest(repository, TagName(tag)))
        if now is None:
            continue
        if planned.get(tag) == now.digest:
            doomed |= dict.fromkeys(_with_parts(lease, repository, now, every_child))
        else:
            safe |= set(_with_parts(lease, repository, now, every_digest))
            kept += [] if is_binned(tag) else [tag]
    deleted, _ = _delete_all(lease, repository, [d for d in doomed if d not in safe], planned)
    for tag in _ask(lambda: registry().tags(repository)) or []:
        lease.hold()
        if tag in planned and _dangles(repository, TagName(tag)):
            _by_placeholder(lease, number, step, TagName(tag))
    detail = f"{deleted} manifest{'' if deleted == 1 else 's'}"
    if kept:
        detail += f"; pushed since the preview, and kept: {', '.join(kept[:10])}"
    return "deleted", detail


def _manifests_step(lease: Lease[Removal], _number: int, step: dict[str, Any]) -> tuple[str, str]:
    """Remove manifests to which no tag leads any more: what a tag needs by now, stays."""
    repository = RepositoryName(step["repository"])
    deleted, kept = _delete_all(lease, repository, step["digests"], {})
    detail = f"{deleted} manifest{'' if deleted == 1 else 's'}"
    if kept:
        detail += f"; {kept} are in use, and stay"
    return "deleted" if deleted or not kept else "kept", detail


@dataclass(frozen=True, slots=True)
class _Look:
    """What the tags of a repository needed a moment ago."""

    safe: frozenset[str]
    good_until: float


class _Pushes:
    """What people push to a repository from now on, as the registry tells it.

    An event comes within moments, and costs no call: so a tag that is pushed between two
    looks does not go with a manifest that was to go. Our own pushes are not among them: what
    a move copied is taken back by a removal, at once, and its events may be late.
    """

    def __init__(self, repository: RepositoryName) -> None:
        self._repository = repository
        last = db.session.scalar(select(func.max(RegistryEvent.id))) or 0
        told = func.coalesce(RegistryEvent.occurred_at, RegistryEvent.received_at)
        self._query = select(RegistryEvent.digest).where(
            RegistryEvent.id > last,
            RegistryEvent.repository == str(repository),
            RegistryEvent.action == "push",
            RegistryEvent.tag != "",
            RegistryEvent.status != "rejected",
            RegistryEvent.actor != OWN_SUBJECT,
            # What waited at the registry for long, is in what it lists.
            told > utc_now() - CLOCKS_DIFFER,
        )
        self._tops: set[str] = set()
        self._safe: set[str] = set()
        release()

    def safe(self) -> set[str]:
        """Return what such tags need."""
        tops = {digest for digest in db.session.scalars(self._query) if digest}
        if tops != self._tops:
            needed = closure(tops, parts_of(self._repository, tops, LOOK_DEADLINE).named)
            self._tops, self._safe = tops, set(needed)
        release()
        return self._safe


def _delete_all(
    lease: Lease[Removal], repository: RepositoryName, digests: list[str], planned: dict[str, str]
) -> tuple[int, int]:
    """Delete those manifests that no tag needs; return how many went and how many stayed.

    A look is not the deed: whoever pushes an index in between is told that it worked, and its
    parts go all the same. So there is a last look, and what is needed by then is put back.

    Args:
        planned: tags that go themselves, as long as they stand for these digests.
    """
    _keep_bodies(lease, repository, digests)
    tried: set[str] = set()
    gone: set[str] = set()
    try:
        look = _delete_each(lease, repository, digests, planned, (tried, gone))
    except (Cancelled, Stopped, StepFailed):
        # Whatever ends the work: no push that was told that it worked is left without its parts.
        if tried:
            _put_back_needed(lease, repository, digests, None)
        raise
    safe = _put_back_needed(lease, repository, digests, None if tried else look)
    return len(gone - safe), len(set(digests) - (tried - safe))


def _delete_each(
    lease: Lease[Removal],
    repository: RepositoryName,
    digests: list[str],
    planned: dict[str, str],
    noted: tuple[set[str], set[str]],
) -> _Look | None:
    """Delete those that no tag needs, one by one; return the last look.

    Args:
        noted: takes those that were tried, and those of them that were there.
    """
    tried, gone = noted
    pushes, look = _Pushes(repository), None
    for digest in digests:
        lease.hold()
        # Deletion by digest takes every tag on it, also one that was pushed a moment ago.
        if look is None or time.monotonic() > look.good_until:
            look = _look(lease, repository, planned)
        if digest not in look.safe and digest not in pushes.safe():
            tried.add(digest)
            if _delete(repository, digest):
                gone.add(digest)
    return look


def _put_back_needed(
    lease: Lease[Removal], repository: RepositoryName, digests: list[str], look: _Look | None
) -> frozenset[str]:
    """Put back what tags need; return what that is.

    Args:
        look: the last one, if nothing was deleted since.
    """
    with lease.undisturbed():
        if look is None and digests:
            # A tag that was to go and is there now, was pushed anew.
            look = _look(lease, repository, {})
        safe = look.safe if look else frozenset()
        for digest in reversed(digests):  # parts come before what names them
            if digest in safe:
                lease.hold()
                _put_back(repository, digest)
    return safe


def _keep_bodies(lease: Lease[Removal], repository: RepositoryName, digests: list[str]) -> None:
    """Have in the store what may have to be put back, also by the next worker."""
    for start in range(0, len(digests), BATCH):
        lease.hold()
        some = digests[start : start + BATCH]
        fetch(repository, set(some) - known(some).keys(), LOOK_DEADLINE)
    release()


def _put_back(repository: RepositoryName, digest: str) -> None:
    """Push a manifest again that a tag needs, where it went a moment ago."""
    if _ask(lambda: registry().head(repository, Digest(digest))) is not None:
        return
    kept = db.session.get(Manifest, digest)
    body = kept.body if kept else None
    release()
    if kept is None or body is None:
        raise StepFailed(f"{digest[:19]}… went, and a tag that was pushed meanwhile needs it")
    logger.warning("%s: %s is needed by a tag that was pushed meanwhile", repository, digest)
    _ask(lambda: registry().put_manifest(repository, Digest(digest), body, kept.media_type))


def _look(lease: Lease[Removal], repository: RepositoryName, planned: dict[str, str]) -> _Look:
    began = time.monotonic()
    release()
    names = _ask(lambda: registry().tags(repository)) or []
    tops: set[str] = set()
    for start in range(0, len(names), BATCH):
        lease.hold()
        some = names[start : start + BATCH]
        tags = _ask(lambda some=some: digests_of(repository, some)) or {}
        tops |= {digest for tag, digest in tags.items() if planned.get(tag) != digest}
    safe: set[str] = set()
    every = sorted(tops)
    for start in range(0, len(every), BATCH):
        lease.hold()
        some = every[start : start + BATCH]
        parts = parts_of(repository, some, LOOK_DEADLINE)
        needed = closure(some, parts.named)
        if parts.unknown.intersection(needed):
            raise StepFailed("what other tags need could not be read, so no manifest was deleted")
        safe |= set(needed)
    release()
    took = time.monotonic() - began
    return _Look(frozenset(safe), began + took + max(LOOK_SECONDS, 2 * took))


def _with_parts(
    lease: Lease[Removal],
    repository: RepositoryName,
    top: FetchedManifest,
    named: Callable[[bytes], list[str]],
) -> list[str]:
    """Return a manifest's digest and, of an index, those of all below it, at any depth.

    Args:
        named: tells which digests an index names.

    Raises:
        StepFailed: there are too many to be sure.
    """
    found = {top.digest: None}
    asked = {top.digest}
    indexes = [top]
    while indexes:
        index = indexes.pop()
        if index.media_type not in INDEX_TYPES:
            continue
        for digest in named(index.body):
            if digest in asked:
                continue
            if len(asked) >= MAX_PARTS:
                raise StepFailed(f"{top.digest[:19]}… has more than {MAX_PARTS} parts")
            asked.add(digest)
            lease.hold()
            part = _ask(lambda d=digest: registry().manifest(repository, Digest(d)))
            if part is not None:
                found[digest] = None
                indexes.append(part)
    return list(found)


def _delete(repository: RepositoryName, digest: str) -> bool:
    """Delete a manifest; return whether there was one."""

    def call() -> bool:
        registry().delete_manifest(repository, Digest(digest))
        return True

    return _ask(call) or False


def _project_step(lease: Lease[Removal], _number: int, step: dict[str, Any]) -> tuple[str, str]:
    """Remove the project itself, if the registry has let go of every image."""
    images = (
        select(ContainerImage.path)
        .join(Project, Project.id == ContainerImage.project_id)
        .where(Project.path == step["repository"])
    )
    for path in db.session.scalars(images).all():
        lease.hold()
        reconcile(RepositoryName(path), digests=False)
    left = list(db.session.scalars(images))
    if left:
        raise StepFailed(f"images were pushed meanwhile, and stay: {', '.join(left[:5])}")
    with writing() as session:
        _remove_place(session, step["repository"])
    return "deleted", ""


def _namespace_step(_lease: Lease[Removal], _number: int, step: dict[str, Any]) -> tuple[str, str]:
    """Remove a namespace, if nothing is left in it."""
    with writing() as session:
        place = session.scalar(select(Place).where(Place.path == step["repository"]))
        if place is None:
            return "gone already", ""
        left = session.scalar(select(Place.path).where(Place.parent_id == place.id).limit(1))
        if left is not None:
            raise StepFailed(f"{left} was created meanwhile, and stays")
        _remove_place(session, step["repository"])
    return "deleted", ""


def _remove_place(session: Session, path: str) -> None:
    session.execute(
        delete(Place).where(Place.path == path).execution_options(synchronize_session=False)
    )


def _ask(call: Callable[[], T]) -> T | None:
    """Make one call; None where the thing is gone; StepFailed for trouble."""
    try:
        return call()
    except RegistryNotFound:
        return None
    except DeletionByTagUnsupported:
        raise
    except DeletionDisabled:
        raise StepFailed(SWITCHED_OFF) from None
    except RegistryError as error:
        raise StepFailed(f"{error}. Nothing else was changed; delete again to go on.") from None


STEPS: dict[str, Callable[[Lease[Removal], int, dict[str, Any]], tuple[str, str]]] = {
    "tag": _tag_step,
    "purge": _purge_step,
    "manifests": _manifests_step,
    "image": _image_step,
    "project": _project_step,
    "namespace": _namespace_step,
}
