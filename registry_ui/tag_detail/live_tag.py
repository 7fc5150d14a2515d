"""Read the current state of one tag from the registry, and update the index to match.

The index is the database's copy of the registry's tags.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from ..catalog.images import count_tags, lock_image
from ..catalog.live_tags import read_tags
from ..catalog.pull_through import is_cache
from ..catalog.tag_history import record_removed, record_state_before
from ..catalog.tag_list_update import repoint_tag
from ..db.prepared import insert_if_absent
from ..db.session import db, writing
from ..distribution.errors import RegistryError, RegistryFault, RegistryNotFound
from ..errors import NotFound
from ..manifests.store import ensure_fetched
from ..models import ContainerImage, Tag, utc_now
from ..names import RepositoryName, TagName, is_trash_tag


def read_live_tag(image: ContainerImage, name: TagName) -> tuple[Tag, datetime | None, str | None]:
    """Read a tag from the registry, and update the index to match.

    A tag that the registry lists but can't read is marked as damaged; no registry error is returned
    for it. If the registry is a pull-through cache, only the index is read.

    Returns:
        The tag; the time of the registry's last answer for it (None if it is not known); and the
        error of the registry, or None.

    Raises:
        NotFound: the registry does not have the tag, or the registry is down and the index does
            not have the tag.
    """
    if is_trash_tag(str(name)):
        raise NotFound("The registry has no such tag.")
    if is_cache():
        return _read_cached(image, name)
    start_time = utc_now()
    summary = ensure_fetched(RepositoryName(image.path), {str(name): None}, fresh=True)
    problem, digest = summary.problems.get(str(name)), summary.digests.get(str(name))
    if isinstance(problem, RegistryNotFound | RegistryFault):
        try:
            damaged_tag = _mark_if_damaged(image, name, start_time)
        except RegistryError as error:
            # A damaged tag can answer 404, too. Only the list of tags shows whether it is gone.
            problem, damaged_tag = error, None
        if damaged_tag is not None:
            return damaged_tag, start_time, None
    if isinstance(problem, RegistryNotFound):
        _remove_tag(image, name, start_time)
        raise NotFound("The registry has no such tag.")
    tag = db.session.scalar(_select_tag(image, name))
    if problem is not None or digest is None:
        if tag is None:
            raise NotFound("There is nothing here.")
        return tag, image.reconciled_at, str(problem)
    if tag is None or tag.digest != digest or tag.is_damaged:
        tag = _update_digest(image, name, digest, start_time)
    return tag, start_time, None


def _read_cached(image: ContainerImage, name: TagName) -> tuple[Tag, datetime | None, str | None]:
    """Return a tag of a pull-through cache from the index, with its last pull time and no error.

    The registry is not asked, because a cache would send a request to its upstream.

    Raises:
        NotFound: the tag was never pulled.
    """
    tag = db.session.scalar(_select_tag(image, name))
    if tag is None or tag.digest is None:
        raise NotFound("Nothing was pulled by this tag yet.")
    return tag, tag.last_pulled_at or image.reconciled_at, None


def _select_tag(image: ContainerImage, name: TagName) -> Select[Tag]:
    # A registry notification can have changed the row since the session loaded it.
    query = select(Tag).where(Tag.image_id == image.id, Tag.name == str(name))
    return query.execution_options(populate_existing=True)


def _remove_tag(image: ContainerImage, name: TagName, start_time: datetime) -> None:
    with writing() as session:
        current = lock_image(session, image.id)
        tag = session.scalar(_select_tag(image, name))
        if current is not None and tag is not None and tag.seen_at < start_time:
            record_removed(session, [tag], start_time)
            session.delete(tag)
            session.flush()
            count_tags(session, current)


def _update_digest(image: ContainerImage, name: TagName, digest: str, start_time: datetime) -> Tag:
    with writing() as session:
        tag = _ensure_tag(session, image, name, start_time)
        if tag.digest not in (None, digest) and tag.seen_at < start_time:
            record_state_before(session, [tag])
            repoint_tag(session, tag, digest, start_time)
        tag.digest = digest
        tag.mark_readable()
        return tag


def _ensure_tag(
    session: Session, image: ContainerImage, name: TagName, start_time: datetime
) -> Tag:
    """Return the row of a tag that exists in the registry, and create the row if necessary.

    Raises:
        NotFound: the image was deleted in the meantime.
    """
    current = lock_image(session, image.id)
    if current is None:
        raise NotFound
    is_new = insert_if_absent(
        session,
        Tag,
        image_id=image.id,
        name=str(name),
        pull_count=0,
        seen_at=start_time,
        age_from=start_time,
    )
    if is_new:
        count_tags(session, current)
    return session.scalars(_select_tag(image, name)).one()


def _mark_if_damaged(image: ContainerImage, name: TagName, start_time: datetime) -> Tag | None:
    """Mark a tag as damaged if the registry lists it but can't read it.

    A tag that is already marked is not checked again, to save registry calls.

    Returns:
        The damaged tag; None if the tag can be read or no longer exists.

    Raises:
        RegistryError: the registry did not answer, so the state of the tag is not known.
    """
    tag = db.session.scalar(_select_tag(image, name))
    if tag is not None and tag.is_damaged:
        return tag
    live = read_tags(RepositoryName(image.path), [str(name)], slow_timeout=0)
    live.require_answers()
    damage = live.damaged.get(str(name))
    if damage is None:
        return None
    with writing() as session:
        tag = _ensure_tag(session, image, name, start_time)
        tag.mark_damaged(damage, start_time)
        return tag
