"""The bin: removed tags whose manifests stay for some days under a tag that no list shows."""

from __future__ import annotations

import logging

from flask import current_app
from sqlalchemy import func, select, update

from ..access import Permission, Role, repository_policy
from ..access.tag_rules import is_immutable, refusal
from ..audit import WORKER, Actor, record
from ..catalog import tag_claims
from ..catalog.reconcile import reconcile
from ..catalog.tag_history import record_restored
from ..db.session import db, end_read, writing
from ..distribution.client import FetchedManifest
from ..distribution.errors import RegistryError, RegistryNotFound
from ..errors import Conflict, Invalid, NotFound, RegistryUnreachable
from ..models import BinnedTag, ContainerImage, Project, Tag, utc_now
from ..names import Digest, RepositoryName, TagName, is_binned
from ..operations.recovery import complete_trash_entries
from ..operations.trash_entries import hide, show
from ..operations.write_freeze import require_open
from ..pagination import PER_PAGE, Page
from ..registry_connection import registry
from ..removals.deletion_method import translate
from ..removals.purge_planner import plan_purge
from ..removals.service import start

logger = logging.getLogger(__name__)

#: So many tags of one project are purged by one removal.
BATCH = 1000


def page_of(project: Project, number: int) -> tuple[list[BinnedTag], Page]:
    """Return a page of what the bin holds of a project, the latest first."""
    here = (BinnedTag.project_id == project.id, BinnedTag.leaving.is_(False))
    total = db.session.scalar(select(func.count()).select_from(BinnedTag).where(*here)) or 0
    page = Page.of(number, total)
    query = select(BinnedTag).where(*here).order_by(BinnedTag.id.desc())
    return list(db.session.scalars(query.limit(PER_PAGE).offset(page.offset))), page


def entry(project: Project, entry_id: int) -> BinnedTag:
    """Return what the bin holds; NotFound for what it does not, or not of this project."""
    found = db.session.get(BinnedTag, entry_id)
    if found is None or found.project_id != project.id or found.leaving:
        raise NotFound("The bin does not hold this any more.")
    return found


def restore(actor: Actor, row: BinnedTag, name: TagName, role: Role | None) -> None:
    """Give a manifest of the bin a tag again, its own or another; its digest is the same.

    Args:
        role: of whoever asks, for protection rules: our calls go past the gate.

    Raises:
        Clash: the tag exists or is being pushed, or a fence stands.
        Invalid: a protection rule lets them push no such tag, or it is a name of the bin's.
        NotFound: the registry does not have the manifest any more, or it was restored already.
        RegistryTrouble: the registry can't be asked.
    """
    repository = RepositoryName(row.repository)
    is_claimed = _require_allowed(repository, name, role)
    require_open(db.session(), row.repository)
    end_read()
    try:
        manifest = registry().manifest(repository, Digest(row.digest))
    except RegistryNotFound:
        raise NotFound("The registry does not have this manifest any more.") from None
    except RegistryError as error:
        raise translate(error) from None
    hide(row)
    try:
        _push(repository, name, manifest, f"bin {row.id}" if is_claimed else "")
    except Conflict:
        show(row.repository, row.bin_tag)
        raise
    except RegistryError as error:
        complete_trash_entries(repository)  # the registry may have taken it all the same
        raise translate(error) from None
    with writing() as session:
        session.execute(
            update(BinnedTag)
            .where(BinnedTag.id == row.id)
            .values(leaving=True, purge_at=utc_now())
            .execution_options(synchronize_session=False)
        )
        record(session, actor, "tag.restore", f"{repository}:{name}", digest=row.digest)
    reconcile(repository)
    _continue_history(actor, row, name)


def _require_allowed(repository: RepositoryName, name: TagName, role: Role | None) -> bool:
    """Ask of a name what the gate asks of a push of it; return whether it has to be claimed."""
    if is_binned(str(name)):
        message = "The bin keeps its own tags under such names. Give another name."
        raise Invalid("Nothing was restored.", {"name": message})
    found = repository_policy(db.session(), str(repository))
    words = refusal(found.rules, found.image_name, str(name), role, Permission.PUSH, exists=False)
    if words is not None:
        raise Invalid("Nothing was restored.", {"name": f"Not allowed: {words}."})
    return is_immutable(found.rules, found.image_name, str(name), Permission.PUSH)


def _push(repository: RepositoryName, name: TagName, manifest: FetchedManifest, deed: str) -> None:
    """Push a tag that is not there.

    Args:
        deed: for which it is claimed first, as by the gate; "" for a tag that can be overwritten.

    Raises:
        Clash: it is there, or somebody else is pushing it.
    """
    who = tag_claims.ourselves(deed)
    if deed and tag_claims.acquire(repository, name, who) is not None:
        message = f"The tag {name} is being pushed. Try again in a minute."
        raise Conflict("Nothing was restored.", {"name": message})
    exists = _exists(repository, name)
    if not exists:
        registry().put_manifest(repository, name, manifest.body, manifest.media_type)
    if deed:
        tag_claims.release(repository, name, who)
    if exists:
        message = f"The tag {name} exists. Give another name."
        raise Conflict("Nothing was restored.", {"name": message})


def _exists(repository: RepositoryName, name: TagName) -> bool:
    try:
        registry().head(repository, name)
    except RegistryNotFound:
        return False
    return True


def _continue_history(actor: Actor, row: BinnedTag, name: TagName) -> None:
    """Give a restored tag its push and its pulls again, and note the restore.

    For policies the restore counts like a push: what somebody wants back must not go again
    the next night.
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
    """Plan and start the removal of all whose time is over; return the removals.

    A project in which something is being deleted, or of which the registry does not answer,
    has its turn later.
    """
    query = select(BinnedTag.project_id).where(BinnedTag.purge_at <= utc_now()).distinct()
    started = []
    for project_id in db.session.scalars(query).all():
        project = db.session.get_one(Project, project_id)
        due = (
            select(BinnedTag)
            .where(BinnedTag.project_id == project_id, BinnedTag.purge_at <= utc_now())
            .order_by(BinnedTag.id)
            .limit(BATCH)
        )
        try:
            plan = plan_purge(project.path, list(db.session.scalars(due)))
            if plan.steps:
                started.append(start(WORKER, plan, project).id)
            else:
                logger.warning("the bin of %s: %s", project.path, " ".join(plan.notes))
        except Conflict:
            continue
        except RegistryUnreachable as error:
            logger.warning("the bin of %s: %s", project.path, error.message)
    return started


def days() -> int:
    """Return for how many days a removed tag can be restored; 0 where there is no bin."""
    found: int = current_app.config["SETTINGS"].bin_days
    return found
