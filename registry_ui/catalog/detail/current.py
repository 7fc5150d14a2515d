"""What a tag stands for now: the registry is asked, and the index made to say the same."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from ...distribution.errors import RegistryError, RegistryFault, RegistryNotFound
from ...errors import NotFound
from ...extensions import db, writing
from ...models import ContainerImage, Tag, utc_now
from ...names import RepositoryName, TagName, is_binned
from ...storage import insert_new
from ..facts import gather
from ..live_tags import read_tags
from ..moments import note_before, note_removed
from ..pull_through import is_cache
from ..reconcile import move


def current(image: ContainerImage, name: TagName) -> tuple[Tag, datetime | None, str | None]:
    """Ask the registry what a tag is now, and make the index say the same.

    Returns the tag, when the registry last answered, and the trouble if there was any. A tag
    that is listed and can't be read is marked, and no trouble of the registry.

    Raises:
        NotFound: neither the registry nor, with the registry down, the index has it.
    """
    if is_binned(str(name)):
        raise NotFound("The registry has no such tag.")
    if is_cache():
        return _cached(image, name)
    started = utc_now()
    found = gather(RepositoryName(image.path), {str(name): None}, fresh=True)
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
    """Return the tag as it was last pulled: a cache would ask its upstream."""
    tag = db.session.scalar(_row(image, name))
    if tag is None or tag.digest is None:
        raise NotFound("Nothing was pulled by this tag yet.")
    return tag, tag.last_pulled_at or image.reconciled_at, None


def _row(image: ContainerImage, name: TagName) -> Select[tuple[Tag]]:
    return select(Tag).where(Tag.image_id == image.id, Tag.name == str(name))


def _remove(image: ContainerImage, name: TagName, started: datetime) -> None:
    with writing() as session:
        gone = session.scalar(_row(image, name))
        if gone is not None and gone.seen_at < started:
            note_removed(session, [gone], started)
            session.delete(gone)


def _point(image: ContainerImage, name: TagName, digest: str, started: datetime) -> Tag:
    with writing() as session:
        _insert_found(session, image, name, started)
        tag = session.scalars(_row(image, name)).one()
        if tag.digest not in (None, digest) and tag.seen_at < started:
            note_before(session, [tag])
            move(session, tag, digest, started)
        tag.digest = digest
        tag.mark_readable()
        return tag


def _insert_found(
    session: Session, image: ContainerImage, name: TagName, started: datetime
) -> None:
    values = {"pull_count": 0, "seen_at": started, "age_from": started}
    insert_new(session, Tag, image_id=image.id, name=str(name), **values)


def _damaged(image: ContainerImage, name: TagName, started: datetime) -> Tag | None:
    """Return a tag that the registry lists and can't read, marked; None for any other.

    What is marked already is not asked for again: a page costs one call.

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
