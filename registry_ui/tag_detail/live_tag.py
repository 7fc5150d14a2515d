"""Read the current state of one tag from the registry, and update the index to match."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from ..catalog.live_tags import read_tags
from ..catalog.pull_through import is_cache
from ..catalog.reconcile import move
from ..catalog.tag_history import record_removed, record_state_before
from ..db.prepared import insert_if_absent
from ..db.session import db, writing
from ..distribution.errors import RegistryError, RegistryFault, RegistryNotFound
from ..errors import NotFound
from ..manifests.store import ensure_fetched
from ..models import ContainerImage, Tag, utc_now
from ..names import RepositoryName, TagName, is_binned


def current(image: ContainerImage, name: TagName) -> tuple[Tag, datetime | None, str | None]:
    """Read a tag from the registry, and update the index to match.

    A tag that is listed but can't be read is marked as damaged; this is not an error of the
    registry.

    Returns:
        The tag, when the registry last answered, and the registry error or None.

    Raises:
        NotFound: the registry does not have the tag, or the registry is down and the index does
            not have it.
    """
    if is_binned(str(name)):
        raise NotFound("The registry has no such tag.")
    if is_cache():
        return _cached(image, name)
    started = utc_now()
    found = ensure_fetched(RepositoryName(image.path), {str(name): None}, fresh=True)
    problem, digest = found.problems.get(str(name)), found.digests.get(str(name))
    if isinstance(problem, RegistryNotFound | RegistryFault):
        try:
            damaged = _damaged(image, name, started)
        except RegistryError as error:
            # A tag that answers 404 can be damaged. Only the list of tags says whether it is gone.
            problem, damaged = error, None
        if damaged is not None:
            return damaged, started, None
    if isinstance(problem, RegistryNotFound):
        _remove(image, name, started)
        raise NotFound("The registry has no such tag.")
    tag = db.session.scalar(_row(image, name))
    if problem is not None or digest is None:
        if tag is None:
            raise NotFound("There is nothing here.")
        return tag, image.reconciled_at, str(problem)
    if tag is None or tag.digest != digest or tag.is_damaged:
        tag = _point(image, name, digest, started)
    return tag, started, None


def _cached(image: ContainerImage, name: TagName) -> tuple[Tag, datetime | None, str | None]:
    """Return a tag of a pull-through cache from the index.

    The registry is not asked, because a cache would send a request to its upstream.

    Raises:
        NotFound: the tag was never pulled.
    """
    tag = db.session.scalar(_row(image, name))
    if tag is None or tag.digest is None:
        raise NotFound("Nothing was pulled by this tag yet.")
    return tag, tag.last_pulled_at or image.reconciled_at, None


def _row(image: ContainerImage, name: TagName) -> Select[Tag]:
    return select(Tag).where(Tag.image_id == image.id, Tag.name == str(name))


def _remove(image: ContainerImage, name: TagName, started: datetime) -> None:
    with writing() as session:
        gone = session.scalar(_row(image, name))
        if gone is not None and gone.seen_at < started:
            record_removed(session, [gone], started)
            session.delete(gone)


def _point(image: ContainerImage, name: TagName, digest: str, started: datetime) -> Tag:
    with writing() as session:
        _insert_found(session, image, name, started)
        tag = session.scalars(_row(image, name)).one()
        if tag.digest not in (None, digest) and tag.seen_at < started:
            record_state_before(session, [tag])
            move(session, tag, digest, started)
        tag.digest = digest
        tag.mark_readable()
        return tag


def _insert_found(
    session: Session, image: ContainerImage, name: TagName, started: datetime
) -> None:
    values = {"pull_count": 0, "seen_at": started, "age_from": started}
    insert_if_absent(session, Tag, image_id=image.id, name=str(name), **values)


def _damaged(image: ContainerImage, name: TagName, started: datetime) -> Tag | None:
    """Mark a tag as damaged if the registry lists but can't read it; return it, or else None.

    A tag that is marked already is not read again, to save registry calls.

    Raises:
        RegistryError: the registry does not say whether it lists the tag.
    """
    tag = db.session.scalar(_row(image, name))
    if tag is not None and tag.is_damaged:
        return tag
    live = read_tags(RepositoryName(image.path), [str(name)], slow_timeout=0)
    live.require_answers()
    damage = live.damaged.get(str(name))
    if damage is None:
        return None
    with writing() as session:
        _insert_found(session, image, name, started)
        tag = session.scalars(_row(image, name)).one()
        tag.mark_damaged(damage, started)
        return tag
