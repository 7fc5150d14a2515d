"""Compare one repository of the registry with the index, and mend the index.

The registry's answer decides. An error leaves everything as it was; so does a
missing entry of the catalog, which loses names on some storages (PROTOCOLS 4.1).
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

#: An image that was compared longer ago than this is compared again when its page is opened.
STALE = timedelta(hours=1)


def reconcile(repository: RepositoryName, *, digests: bool = True, removed_by: str = "") -> Outcome:
    """Ask the registry for all tags of a repository and their digests; mend the index.

    Without ``digests`` only for the list of tags, by one call: enough to see what is new or
    gone. An image that the index does not have yet is always asked for both. ``removed_by``
    is who had tags removed just now.

    Never raises for trouble with the registry: the outcome and the image's row say
    what it was, and nothing else changes. A tag that can't be read is marked, and the
    others are compared.
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
    """Mend the index of a repository that a project owns; note any other.

    Args:
        names: every tag that the registry listed; None if it does not know the repository.
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
    """Note whose a repository of a cache is, without asking: it would ask its upstream.

    The tags of the index are those that were pulled, and stand for what was pulled.
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
    """Make an image's rows say what the registry said.

    Args:
        names: every tag that the registry listed.
        live: what tags stand for, and which can't be read, as far as it was asked.
        started: when the registry was asked; what an event told since then stays.
        removed_by: who had tags removed; "" leaves it to what events told.
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
    # A damaged tag holds nothing that could be protected.
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
    """Insert a tag that a check found; return whether it is new."""
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
    """Mark the tags that can't be read, and unmark those that can be read again.

    What an event said since the registry was asked, stays.
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
    """Drop an image without tags; keep its history for as long as the bin holds a tag of it."""
    if not is_empty or _pushed_since(image, started):
        image.emptied_at = None
    elif session.scalar(select(BinnedTag.id).where(BinnedTag.repository == image.path).limit(1)):
        image.emptied_at = started
    else:
        session.delete(image)


def move(session: Session, tag: Tag, digest: str, at: datetime) -> None:
    """Make a tag stand for what the registry says, and of which no event told."""
    stood_for_another = tag.digest is not None
    tag.digest = digest
    if stood_for_another:
        # No event said who pushed this, and when. It may have been a moment ago, however old
        # the image is, so its age counts from now.
        tag.pushed_at = tag.pushed_by = None
        tag.age_from = at
        record_found(session, tag, at)


def _pushed_since(image: ContainerImage, moment: datetime) -> bool:
    return image.last_push_at is not None and image.last_push_at >= moment


def _tags_or_none(repository: RepositoryName) -> TagNames | None:
    """Return the tags, those of the bin too; None if the registry has no such repository."""
    try:
        return registry().tags(repository)
    except RegistryNotFound:
        return None


def without_trash(names: list[str]) -> list[str]:
    """Return the tags of a repository without those of the bin.

    Args:
        names: in the order of bytes, in which those of the bin are together.
    """
    first, end = bisect_left(names, BIN_PREFIX), bisect_left(names, BIN_PREFIX_END)
    return [*names[:first], *(n for n in names[first:end] if not is_binned(n)), *names[end:]]


def _image_id(session: Session, repository: RepositoryName) -> int | None:
    return session.scalar(select(ContainerImage.id).where(ContainerImage.path == str(repository)))


def _mend_unassigned(
    session: Session, repository: RepositoryName, names: list[str], *, known: bool
) -> Outcome:
    """Note what a repository holds that nobody owns.

    Without tags it stays noted: its manifests can still be pulled by digest, and whoever
    gets the name gets them. Only the catalog and the list together tell that it is gone.
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
    """Mark an image that was compared long ago; return whether nobody had marked it yet.

    However often its page is opened, it is one job: the mark goes with the next answer of
    the registry.
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
    """Reconcile every image of which an event told a deletion, or whose page was opened late.

    What was compared long ago is asked for digests too; not again after an error, because
    this is tried every minute until the registry answers.
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
    """Reconcile what the catalog lists and what the index has, each repository once.

    Asking for digests costs one call a tag, and each makes the registry send an event.

    What nobody owns is noted before it is asked for its tags: a name that is in use is
    not free because the registry stumbled over it. So the registry counts as read once its
    catalog was, and one broken repository keeps nobody from creating groups.

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
    """Return those that no project owns, by one query."""
    projects = set(db.session.scalars(select(Project.path)))
    not_owned = {name for name in repositories if projects.isdisjoint(prefixes(name))}
    return not_owned - reserved_names(db.session(), not_owned)


def index_repositories_below(path: str) -> list[Outcome]:
    """Index what a new project finds in the registry under its path."""
    query = select(UnassignedRepository.path).where(at_or_below(UnassignedRepository.path, path))
    return [reconcile(RepositoryName(name)) for name in db.session.scalars(query).all()]
