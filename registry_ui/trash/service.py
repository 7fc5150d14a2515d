"""Trash: deleted tags whose manifests are kept for some days under a hidden tag."""

from __future__ import annotations

import logging

from flask import current_app
from sqlalchemy import ColumnElement, func, select, update

from ..access import Permission, Role, repository_policy
from ..access.tag_rules import TagChange, is_immutable, refusal
from ..audit import WORKER, Actor, record
from ..catalog import tag_claims
from ..catalog.reconcile import reconcile
from ..catalog.tag_history import record_restored
from ..db.session import db, end_read, writing
from ..distribution.client import FetchedManifest
from ..distribution.errors import RegistryError, RegistryNotFound
from ..errors import Conflict, Invalid, NotFound, RegistryUnreachable
from ..models import ContainerImage, Project, Tag, TrashedTag, utc_now
from ..names import Digest, RepositoryName, TagName, is_trash_tag
from ..operations.recovery import complete_trash_entries
from ..operations.trash_entries import hide, show
from ..operations.write_freeze import require_open
from ..pagination import PER_PAGE, Page
from ..registry_connection import registry
from ..removals.deletion_method import translate
from ..removals.purge_planner import plan_purge
from ..removals.service import start

logger = logging.getLogger(__name__)

#: Maximum number of tags purged per removal.
MAX_PURGED_TAGS = 1000


def page_of(project: Project, number: int) -> tuple[list[TrashedTag], Page]:
    """Return a page of a project's trash entries, newest first."""
    conditions = (TrashedTag.project_id == project.id, TrashedTag.leaving.is_(False))
    total = db.session.scalar(select(func.count()).select_from(TrashedTag).where(*conditions)) or 0
    page = Page.of(number, total)
    query = select(TrashedTag).where(*conditions).order_by(TrashedTag.id.desc())
    return list(db.session.scalars(query.limit(PER_PAGE).offset(page.offset))), page


def has_tags_of(image: ContainerImage) -> bool:
    """Return whether the trash lists deleted tags of an image."""
    return _lists_any(TrashedTag.repository == image.path)


def has_tags_in(project: Project) -> bool:
    """Return whether the trash lists deleted tags of a project."""
    return _lists_any(TrashedTag.project_id == project.id)


def _lists_any(condition: ColumnElement[bool]) -> bool:
    query = select(TrashedTag.id).where(condition, TrashedTag.leaving.is_(False))
    return db.session.scalar(query.limit(1)) is not None


def entry(project: Project, entry_id: int) -> TrashedTag:
    """Return a trash entry of a project.

    Raises:
        NotFound: the project has no such entry, or the entry is hidden because its tag is being
            deleted or restored.
    """
    row = db.session.get(TrashedTag, entry_id)
    if row is None or row.project_id != project.id or row.leaving:
        raise NotFound("This is no longer in the trash.")
    return row


def restore(actor: Actor, row: TrashedTag, name: TagName, role: Role | None) -> None:
    """Restore a deleted tag under its old name or a new one. The digest is unchanged.

    Args:
        row: trash entry to restore.
        name: name of the restored tag.
        role: role of the user who asks. The protection rules are checked here, because calls of
            this application bypass the gate, which checks the pushes of clients.

    Raises:
        Conflict: the tag exists or is being pushed, or a write freeze is in effect.
        Invalid: a protection rule refuses the push, or the name is reserved for the trash.
        NotFound: the registry no longer has the manifest, or the tag was already restored.
        RegistryUnreachable: the registry can't be asked.
    """
    repository = RepositoryName(row.repository)
    needs_claim = _require_allowed(repository, name, role)
    require_open(db.session(), row.repository)
    end_read()
    manifest = _fetch_manifest(repository, row.digest)
    hide(row)
    try:
        _push(repository, name, manifest, f"bin {row.id}" if needs_claim else "")
    except Conflict:
        show(row.repository, row.trash_tag)
        raise
    except RegistryError as error:
        complete_trash_entries(repository)  # the registry may have accepted it anyway
        raise translate(error) from None
    with writing() as session:
        session.execute(
            update(TrashedTag)
            .where(TrashedTag.id == row.id)
            .values(leaving=True, purge_at=utc_now())
            .execution_options(synchronize_session=False)
        )
        record(session, actor, "tag.restore", f"{repository}:{name}", digest=row.digest)
    reconcile(repository)
    _continue_history(actor, row, name)


def _fetch_manifest(repository: RepositoryName, digest: str) -> FetchedManifest:
    """Return a manifest from the registry.

    Raises:
        NotFound: the registry does not have the manifest.
        RegistryUnreachable: the registry can't be asked.
    """
    try:
        return registry().manifest(repository, Digest(digest))
    except RegistryNotFound:
        raise NotFound("The registry no longer has this manifest.") from None
    except RegistryError as error:
        raise translate(error) from None


def _require_allowed(repository: RepositoryName, name: TagName, role: Role | None) -> bool:
    """Check whether a tag name may be pushed; return whether the push needs a tag claim.

    A tag claim is a short-lived lock on a tag that does not exist yet. An immutable tag is claimed
    before it is pushed, so that only one push can create it.

    Raises:
        Invalid: the name is reserved for the trash, or a rule refuses the push.
    """
    if is_trash_tag(str(name)):
        message = "Names like this are reserved for the trash. Give another name."
        raise Invalid("Nothing was restored.", {"name": message})
    policy = repository_policy(db.session(), str(repository))
    push = TagChange(str(name), Permission.PUSH, exists=False)
    reason = refusal(policy.rules, policy.image_name, push, role)
    if reason is not None:
        raise Invalid("Nothing was restored.", {"name": f"Not allowed: {reason}."})
    return is_immutable(policy.rules, policy.image_name, str(name), Permission.PUSH)


def _push(
    repository: RepositoryName, name: TagName, manifest: FetchedManifest, claim_purpose: str
) -> None:
    """Push a manifest to a tag that does not exist yet.

    Args:
        claim_purpose: purpose of the tag claim (a short-lived lock) to hold during the push; ""
            to push without a claim, because the tag can be overwritten.

    Raises:
        Conflict: the tag exists, or a push of the tag is in progress.
        RegistryError: the registry did not accept it.
    """
    holder = tag_claims.own_identity(claim_purpose)
    if claim_purpose and tag_claims.acquire(repository, name, holder) is not None:
        message = f"The tag {name} is being pushed. Try again in a minute."
        raise Conflict("Nothing was restored.", {"name": message})
    exists = _has_tag(repository, name)
    if not exists:
        registry().put_manifest(repository, name, manifest.body, manifest.media_type)
    if claim_purpose:
        tag_claims.release(repository, name, holder)
    if exists:
        message = f"The tag {name} exists. Give another name."
        raise Conflict("Nothing was restored.", {"name": message})


def _has_tag(repository: RepositoryName, name: TagName) -> bool:
    try:
        registry().head(repository, name)
    except RegistryNotFound:
        return False
    return True


def _continue_history(actor: Actor, row: TrashedTag, name: TagName) -> None:
    """Restore the push and pull data of a restored tag, and record the restore in its history.

    Retention policies treat the restore like a push, so that the tag is not deleted again the next
    night.
    """
    query = (
        select(Tag)
        .join(ContainerImage, ContainerImage.id == Tag.image_id)
        .where(
            ContainerImage.path == row.repository,
            Tag.name == str(name),
            Tag.digest == row.digest,
        )
    )
    with writing() as session:
        tag = session.scalar(query)
        if tag is None:
            return
        tag.pushed_at, tag.pushed_by = row.pushed_at, row.pushed_by
        tag.pull_count += row.pull_count
        tag.last_pulled_at = tag.last_pulled_at or row.last_pulled_at
        tag.age_from = utc_now()
        record_restored(session, tag, actor.name, tag.age_from)


def purge_due() -> list[int]:
    """Start removals of the expired trash entries, one per project; return the removals' IDs.

    A project is skipped until the next run if something in it is being deleted, or if the registry
    does not answer.
    """
    due_projects = select(TrashedTag.project_id).where(TrashedTag.purge_at <= utc_now())
    query = due_projects.distinct().order_by(TrashedTag.project_id)
    removal_ids = []
    for project_id in db.session.scalars(query).all():
        project = db.session.get(Project, project_id)
        if project is None:  # It was deleted while others were planned.
            continue
        due = (
            select(TrashedTag)
            .where(TrashedTag.project_id == project_id, TrashedTag.purge_at <= utc_now())
            .order_by(TrashedTag.id)
            .limit(MAX_PURGED_TAGS)
        )
        try:
            plan = plan_purge(project.path, list(db.session.scalars(due)))
            if plan.steps:
                removal_ids.append(start(WORKER, plan, project).id)
            else:
                logger.warning("the trash of %s: %s", project.path, " ".join(plan.notes))
        except Conflict:
            continue
        except RegistryUnreachable as error:
            logger.warning("the trash of %s: %s", project.path, error.message)
    return removal_ids


def days() -> int:
    """Return the number of days that a deleted tag can be restored; 0 if the trash is disabled."""
    trash_days: int = current_app.config["SETTINGS"].trash_days
    return trash_days
