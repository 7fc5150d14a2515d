"""Reconcile the index with the registry: compare repositories, and correct the index.

The registry is authoritative. An error changes nothing in the index, and neither does a missing
catalog entry, because the catalog omits names on some storage drivers (PROTOCOLS 4.1).
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from ..access import at_or_below
from ..access.lookup import owning_project, prefixes
from ..access.reserved_paths import reserved_names
from ..db.prepared import insert_if_absent
from ..db.session import db, end_read, writing
from ..db.statements import update_count
from ..distribution.client import TagNames
from ..distribution.errors import RegistryError, RegistryNotFound
from ..models import (
    DIGESTS_READ,
    REGISTRY_READ,
    BinnedTag,
    ContainerImage,
    Heartbeat,
    Project,
    Tag,
    UnassignedRepository,
    utc_now,
)
from ..names import BIN_PREFIX, BIN_PREFIX_END, NameInvalid, RepositoryName, is_binned
from ..operations.recovery import complete_interrupted_steps
from ..registry_connection import registry
from .earlier_pushes import carry_over
from .images import count_tags, ensure_image
from .live_tags import LiveTags, read_tags
from .pull_through import is_cache
from .reconcile_outcome import Outcome
from .tag_history import record_found, record_removed, record_state_before
from .unassigned_notes import forget, note, take_note
from .violations import record_unreported_violations

logger = logging.getLogger(__name__)

#: How long a comparison stays current. An older one is repeated when the image's page is opened.
STALE = timedelta(hours=1)


def reconcile(repository: RepositoryName, *, digests: bool = True, removed_by: str = "") -> Outcome:
    """Read all tags of a repository from the registry, and correct the index.

    A registry error is not raised: it is stored in the outcome and in the image's row, and nothing
    else changes. A tag that can't be read is marked as damaged, and the others are compared.

    Args:
        digests: also read the digest of each tag. Otherwise only the list of tags is read, by one
            call, which finds new and deleted tags. The digests of an image that is not in the
            index yet are always read.
        removed_by: the user who just removed tags, for the history.
    """
    if is_cache():
        return _reconcile_cached(repository)
    complete_interrupted_steps(repository)
    started = utc_now()
    end_read()
    try:
        answer = _tags_or_none(repository)
        names = without_trash(answer or [])
        wanted = digests or _image_id(db.session(), repository) is None
        end_read()
        live = read_tags(repository, names) if wanted else LiveTags()
    except RegistryError as error:
        _note_error(repository, str(error))
        return Outcome(str(repository), error=str(error))
    listed = None if answer is None else names
    outcome = _mend_or_note(repository, listed, live, started, removed_by)
    outcome.unanswered = sorted(live.unanswered)
    outcome.unusable = list(answer.unusable) if answer else []
    return outcome


def _mend_or_note(
    repository: RepositoryName,
    names: list[str] | None,
    live: LiveTags,
    started: datetime,
    removed_by: str,
) -> Outcome:
    """Correct the index of a repository that a project owns; record any other as unassigned.

    Args:
        names: every tag that the registry listed; None if it does not have the repository.
        live: digests and damage of the tags, if they were read.
        started: when the registry was asked.
        removed_by: the user who just removed tags, or "".
    """
    known, names = names is not None, names or []
    with writing() as session:
        if reserved_names(session, [str(repository)]):
            return Outcome(str(repository))
        project = owning_project(session, str(repository))
        if project is None:
            return _mend_unassigned(session, repository, names, known=known)
        last_push = take_note(session, str(repository))
        if not names and not _image_id(session, repository):
            return Outcome(str(repository))
        image = ensure_image(session, project, str(repository))
        outcome = apply_tag_list(session, image, names, live, started, removed_by)
        if names:
            carry_over(session, image, last_push)
        return outcome


def _reconcile_cached(repository: RepositoryName) -> Outcome:
    """Record which project owns a repository of a pull-through cache, without registry calls.

    A call would make the cache send a request to its upstream. The index contains only the tags
    that were pulled, with the digests that were pulled.
    """
    path = str(repository)
    with writing() as session:
        project = None if reserved_names(session, [path]) else owning_project(session, path)
        if project is None:
            return Outcome(path, owned=False, known=False)
        session.execute(delete(UnassignedRepository).where(UnassignedRepository.path == path))
        image = ensure_image(session, project, path)
        image.reconciled_at, image.reconcile_error = utc_now(), None
        image.reconcile_wanted = False
        return Outcome(path, tags=image.tag_count)


def apply_tag_list(
    session: Session,
    image: ContainerImage,
    names: Iterable[str],
    live: LiveTags,
    started: datetime,
    removed_by: str = "",
) -> Outcome:
    """Update the rows of an image and its tags to match the registry's answer.

    Args:
        names: every tag that the registry listed.
        live: digests and damage of the tags that were read; tags missing here keep theirs.
        started: when the registry was asked. Changes that an event reported later are kept.
        removed_by: the user who removed tags; "" if only events can name the user.
    """
    listed = set(names)
    rows = {tag.name: tag for tag in session.scalars(select(Tag).where(Tag.image_id == image.id))}
    outcome = Outcome(image.path, tags=len(listed), damaged=len(live.damaged))
    for name in listed - rows.keys():
        outcome.added += _insert(session, image, name, live, started)
    _mark(rows, live, started)
    moved = [
        rows[name]
        for name in listed & rows.keys()
        if live.digests.get(name, rows[name].digest) != rows[name].digest
        and rows[name].seen_at < started
    ]
    overwritten = [row.name for row in moved if row.digest is not None]
    record_state_before(session, moved)
    for row in moved:
        move(session, row, live.digests[row.name], started)
    outcome.changed = len(moved)
    gone = [rows[name] for name in rows.keys() - listed if rows[name].seen_at < started]
    record_unreported_violations(session, image, overwritten, "overwritten", started)
    # A damaged tag has no readable content that a rule could protect.
    deleted = [row.name for row in gone if not row.is_damaged]
    record_unreported_violations(session, image, deleted, "deleted", started)
    if gone:
        record_removed(session, gone, started, removed_by)
        session.execute(delete(Tag).where(Tag.id.in_([tag.id for tag in gone])))
        outcome.removed = len(gone)
    session.flush()
    count_tags(session, image)
    image.reconciled_at, image.reconcile_error = started, None
    image.reconcile_wanted = False
    _keep_or_drop(session, image, started, is_empty=not listed)
    return outcome


def _insert(
    session: Session, image: ContainerImage, name: str, live: LiveTags, started: datetime
) -> bool:
    """Insert a tag that was found in the registry; return whether the row is new."""
    return insert_if_absent(
        session,
        Tag,
        image_id=image.id,
        name=name,
        digest=live.digests.get(name),
        pull_count=0,
        seen_at=started,
        age_from=started,
        damage=live.damaged.get(name),
        damaged_since=started if name in live.damaged else None,
    )


def _mark(rows: Mapping[str, Tag], live: LiveTags, started: datetime) -> None:
    """Mark unreadable tags as damaged, and clear the mark of tags that can be read again.

    A tag that an event changed after the registry was asked is left alone.
    """
    for name, row in rows.items():
        if row.seen_at >= started:
            continue
        if name in live.damaged:
            row.mark_damaged(live.damaged[name], started)
        elif name in live.digests:
            row.mark_readable()


def _keep_or_drop(
    session: Session, image: ContainerImage, started: datetime, *, is_empty: bool
) -> None:
    """Delete an image without tags, or only hide it while the trash contains a tag of it."""
    if not is_empty or _pushed_since(image, started):
        image.emptied_at = None
    elif session.scalar(select(BinnedTag.id).where(BinnedTag.repository == image.path).limit(1)):
        image.emptied_at = started
    else:
        session.delete(image)


def move(session: Session, tag: Tag, digest: str, at: datetime) -> None:
    """Point a tag to the digest that the registry reports and that no event announced."""
    stood_for_another = tag.digest is not None
    tag.digest = digest
    if stood_for_another:
        # The time and author of this push are unknown. The tag may have been pushed a moment
        # ago even if the image is old, so its age counts from now.
        tag.pushed_at = tag.pushed_by = None
        tag.age_from = at
        record_found(session, tag, at)


def _pushed_since(image: ContainerImage, moment: datetime) -> bool:
    return image.last_push_at is not None and image.last_push_at >= moment


def _tags_or_none(repository: RepositoryName) -> TagNames | None:
    """Return all tags, including those in the trash; None if there is no such repository."""
    try:
        return registry().tags(repository)
    except RegistryNotFound:
        return None


def without_trash(names: list[str]) -> list[str]:
    """Return the tags of a repository without those in the trash.

    Args:
        names: tags in byte order, so that the tags in the trash are adjacent.
    """
    first, end = bisect_left(names, BIN_PREFIX), bisect_left(names, BIN_PREFIX_END)
    return [*names[:first], *(n for n in names[first:end] if not is_binned(n)), *names[end:]]


def _image_id(session: Session, repository: RepositoryName) -> int | None:
    return session.scalar(select(ContainerImage.id).where(ContainerImage.path == str(repository)))


def _mend_unassigned(
    session: Session, repository: RepositoryName, names: list[str], *, known: bool
) -> Outcome:
    """Record a repository that no project owns, with its number of tags.

    A repository without tags stays recorded, because its manifests can still be pulled by digest,
    and a project created over its name would own them. It is forgotten only if both the catalog
    and the list of tags no longer have it.

    Args:
        names: the tags that the registry listed.
        known: whether the registry has the repository.
    """
    path = str(repository)
    if names:
        insert_if_absent(session, UnassignedRepository, path=path, first_seen_at=utc_now())
    row = session.get(UnassignedRepository, path)
    if row is not None:
        row.tag_count = len(names)
    return Outcome(path, owned=False, known=known, tags=len(names))


def _note_error(repository: RepositoryName, error: str) -> None:
    with writing() as session:
        image = session.scalar(select(ContainerImage).where(ContainerImage.path == str(repository)))
        if image is not None:
            image.reconcile_error = error


def request_reconcile_if_stale(image: ContainerImage) -> bool:
    """Mark an image for reconciliation if its last comparison is older than STALE.

    The mark is cleared by the next successful comparison, so opening the page repeatedly causes
    only one job.

    Returns:
        Whether this call set the mark.
    """
    if image.reconcile_wanted or not _is_stale(image.reconciled_at):
        return False
    with writing() as session:
        statement = (
            update(ContainerImage)
            .where(ContainerImage.id == image.id, ContainerImage.reconcile_wanted.is_(False))
            .values(reconcile_wanted=True)
        )
        return bool(update_count(session, statement))


def _is_stale(moment: datetime | None) -> bool:
    return moment is None or utc_now() - moment > STALE


def reconcile_wanted() -> list[Outcome]:
    """Reconcile every image that is marked, by a deletion event or by opening a stale page.

    Digests are read only if the last comparison is old and did not fail: after an error this is
    retried every minute until the registry answers, so a retry must be cheap.
    """
    query = select(
        ContainerImage.path, ContainerImage.reconciled_at, ContainerImage.reconcile_error
    ).where(ContainerImage.reconcile_wanted.is_(True))
    return [
        reconcile(
            RepositoryName(row.path),
            digests=_is_stale(row.reconciled_at) and row.reconcile_error is None,
        )
        for row in db.session.execute(query).all()
    ]


def reconcile_all(*, digests: bool = True) -> list[Outcome]:
    """Reconcile every repository in the catalog or in the index once.

    Unassigned repositories are recorded before their tags are read, so that a name in use is not
    considered free because reading its tags failed. So the registry counts as read as soon as its
    catalog was, and one broken repository does not prevent users from creating namespaces.

    Args:
        digests: also read the digest of each tag, which costs one call per tag and makes the
            registry send an event for each.

    Raises:
        RegistryError: the catalog can't be read; nothing was changed.
    """
    started = utc_now()
    end_read()
    listed = set(map(str, registry().catalog()))
    noted = set(db.session.scalars(select(UnassignedRepository.path)))
    note(sorted(_not_owned(listed) - noted))
    indexed = set(db.session.scalars(select(ContainerImage.path))) | noted
    outcomes = []
    for path in sorted(listed | indexed):
        try:
            outcomes.append(reconcile(RepositoryName(path), digests=digests))
        except NameInvalid:
            logger.warning("a repository has a name that breaks the grammar: %r", path)
    forget({o.repository for o in outcomes if not o.owned and not o.known} - listed, started)
    with writing() as session:
        session.merge(Heartbeat(name=REGISTRY_READ, at=utc_now()))
        if digests:
            session.merge(Heartbeat(name=DIGESTS_READ, at=utc_now()))
    return outcomes


def _not_owned(repositories: set[str]) -> set[str]:
    """Return the repositories that no project owns and that are not reserved."""
    projects = set(db.session.scalars(select(Project.path)))
    not_owned = {name for name in repositories if projects.isdisjoint(prefixes(name))}
    return not_owned - reserved_names(db.session(), not_owned)


def index_repositories_below(path: str) -> list[Outcome]:
    """Index the unassigned repositories at or below the path of a new project."""
    query = select(UnassignedRepository.path).where(at_or_below(UnassignedRepository.path, path))
    return [reconcile(RepositoryName(name)) for name in db.session.scalars(query).all()]
