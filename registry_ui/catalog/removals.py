"""Carries out stored removals, step by step; goes on where a dead worker stopped."""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from ..audit import Actor, record
from ..distribution.client import FetchedManifest
from ..distribution.errors import (
    DeletionByTagUnsupported,
    DeletionDisabled,
    RegistryError,
    RegistryNotFound,
)
from ..distribution.manifest import PLACEHOLDER_ANNOTATION, every_child, every_digest
from ..distribution.media_types import INDEX_TYPES
from ..extensions import db, release, writing
from ..models import ContainerImage, Project, Removal, utc_now
from ..names import Digest, RepositoryName, TagName
from .connection import registry
from .reconcile import reconcile

T = TypeVar("T")

logger = logging.getLogger(__name__)

#: A worker holds a removal so long from its last sign; then another may go on.
LEASE = timedelta(seconds=30)
#: Seconds between two signs that the worker is still at it.
SIGN_SECONDS = 5.0
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
MOVED = "it points to another image since the preview"


class StepFailed(Exception):
    """A step could not be carried out; the message is for the report."""


class LeaseLost(Exception):
    """Another worker has the removal by now; this one must not write any more."""


@dataclass(slots=True)
class Lease:
    """A removal in the hands of one worker, until it is silent for too long."""

    removal: Removal
    owner: str
    _last_sign: float = field(default_factory=time.monotonic)

    def hold(self) -> None:
        """Give a sign, at most one in a few seconds: it can be called before every call."""
        if time.monotonic() - self._last_sign >= SIGN_SECONDS:
            self.write()

    def write(self, **values: Any) -> None:
        """Change the removal, and hold it for another while.

        Raises:
            LeaseLost: it is somebody else's by now; nothing was changed.
        """
        with writing() as session:
            self._write(session, {"lease_until": utc_now() + LEASE, **values})
        self._last_sign = time.monotonic()

    def note(self, step: dict[str, Any], outcome: str, detail: str) -> None:
        """Keep a step's outcome."""
        tag = step.get("tag")
        reference = f"{step['repository']}:{tag}" if tag else step["repository"]
        line = {"reference": reference, "outcome": outcome, "detail": detail}
        self.write(report=[*self.removal.report, line])

    def finish(self, state: str) -> None:
        """Say how it ended, and let go of it."""
        done = {"state": state, "finished_at": utc_now(), "lease_until": None, "lease_owner": None}
        with writing() as session:
            self._write(session, done)
            actor = Actor(self.removal.requested_by)
            record(session, actor, f"{self.removal.kind}.delete.{state}", self.removal.target)

    def _write(self, session: Session, values: dict[str, Any]) -> None:
        written = session.execute(
            update(Removal)
            .where(Removal.id == self.removal.id, Removal.lease_owner == self.owner)
            .values(values)
            .execution_options(synchronize_session=False)
        )
        if not written.rowcount:  # type: ignore[attr-defined]
            raise LeaseLost
        session.refresh(self.removal)


def run(removal_id: int) -> Removal | None:
    """Carry out a removal, or what is left of it. Returns None where another worker has it."""
    lease = _claim(removal_id)
    if lease is None:
        return None
    try:
        _carry_out(lease)
    except LeaseLost:
        logger.warning("removal %s: another worker has taken it over", removal_id)
        return None
    except BaseException:
        _reconcile(lease.removal)
        raise
    _reconcile(lease.removal)
    return lease.removal


def _carry_out(lease: Lease) -> None:
    removal = lease.removal
    try:
        for number in range(len(removal.report), len(removal.plan)):
            step = removal.plan[number]
            outcome, detail = _STEPS[step["do"]](lease, number, step)
            lease.note(step, outcome, detail)
        lease.finish("done")
    except StepFailed as failure:
        lease.note(removal.plan[len(removal.report)], "failed", str(failure))
        lease.finish("failed")


def _reconcile(removal: Removal) -> None:
    for repository in sorted({step["repository"] for step in removal.plan}):
        reconcile(RepositoryName(repository), digests=False, removed_by=removal.requested_by)


def waiting() -> list[int]:
    """Return the removals that no living worker holds."""
    now = utc_now()
    query = (
        select(Removal.id)
        .where(
            Removal.state.in_(["waiting", "running"]),
            or_(Removal.lease_until.is_(None), Removal.lease_until < now),
        )
        .order_by(Removal.id)
    )
    return list(db.session.scalars(query))


def _claim(removal_id: int) -> Lease | None:
    now, owner = utc_now(), secrets.token_hex(16)
    with writing() as session:
        claimed = session.execute(
            update(Removal)
            .where(
                Removal.id == removal_id,
                Removal.state.in_(["waiting", "running"]),
                or_(Removal.lease_until.is_(None), Removal.lease_until < now),
            )
            .values(state="running", lease_until=now + LEASE, lease_owner=owner)
            .execution_options(synchronize_session=False)
        )
        if not claimed.rowcount:  # type: ignore[attr-defined]
            return None
        return Lease(session.get_one(Removal, removal_id, populate_existing=True), owner)


# -- steps ---------------------------------------------------------------------


def _tag_step(lease: Lease, number: int, step: dict[str, Any]) -> tuple[str, str]:
    """Remove one tag and no other: by tag on 3.x, by a placeholder on 2.8 (PROTOCOLS 4.3)."""
    repository, tag = RepositoryName(step["repository"]), TagName(step["tag"])
    release()
    now = _ask(lambda: registry().head(repository, tag))
    if now is None and not _is_listed(repository, tag):
        return "gone already", ""
    if now is not None and now == step.get("placeholder"):
        _ask(lambda: registry().delete_manifest(repository, Digest(now)))
        if not _dangles(repository, tag):
            return "deleted", ""
    elif now is not None and now != step["digest"]:
        return "kept", MOVED
    try:
        _ask(lambda: registry().delete_manifest(repository, tag))
    except DeletionByTagUnsupported:
        # So deletion is on (it would say 405), and this is 2.8.
        return _by_placeholder(lease, number, repository, tag)
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
    lease: Lease, number: int, repository: RepositoryName, tag: TagName
) -> tuple[str, str]:
    """Point the tag to a manifest that nothing else points to, and delete that by digest."""
    ours = {lease.removal.plan[number].get("digest")}
    for _ in range(ATTEMPTS):
        body = _prepare_placeholder(lease, number, repository)
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


def _prepare_placeholder(lease: Lease, number: int, repository: RepositoryName) -> bytes:
    """Push what a placeholder needs and return the manifest, which is not pushed yet.

    Its digest is stored first: a worker that dies in between leaves a tag that the next
    one knows as its own.
    """
    mark = f"{lease.removal.id}/{number} {utc_now().isoformat()}"
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
    plan = [dict(step) for step in lease.removal.plan]
    plan[number]["placeholder"] = str(Digest.of(body))
    lease.write(plan=plan)
    return body


def _image_step(lease: Lease, number: int, step: dict[str, Any]) -> tuple[str, str]:
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
            kept.append(tag)
    deleted = 0
    for digest in doomed:
        if digest not in safe:
            lease.hold()
            deleted += _delete(repository, digest)
    for tag in _ask(lambda: registry().tags(repository)) or []:
        lease.hold()
        if tag in planned and _dangles(repository, TagName(tag)):
            _by_placeholder(lease, number, repository, TagName(tag))
    detail = f"{deleted} manifests"
    if kept:
        detail += f"; pushed since the preview, and kept: {', '.join(kept[:10])}"
    return "deleted", detail


def _with_parts(
    lease: Lease,
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


def _project_step(lease: Lease, _number: int, step: dict[str, Any]) -> tuple[str, str]:
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


def _remove_place(session: Session, path: str) -> None:
    session.execute(
        delete(Project).where(Project.path == path).execution_options(synchronize_session=False)
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


_STEPS: dict[str, Callable[[Lease, int, dict[str, Any]], tuple[str, str]]] = {
    "tag": _tag_step,
    "image": _image_step,
    "project": _project_step,
}
