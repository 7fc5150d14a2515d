"""What a tag stands for now: the registry is asked, and the index made to say the same."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from ...distribution.errors import RegistryNotFound
from ...errors import NotFound
from ...extensions import db, writing
from ...models import ContainerImage, Tag, utc_now
from ...names import RepositoryName, TagName, is_binned
from ...storage import insert_new
from ..facts import gather
from ..moments import note_before, note_removed
from ..reconcile import move


def current(image: ContainerImage, name: TagName) -> tuple[Tag, datetime | None, str | None]:
    """Ask the registry what a tag is now, and make the index say the same.

    Returns the tag, when the registry last answered, and the trouble if there was any.

    Raises:
        NotFound: neither the registry nor, with the registry down, the index has it.
    """
    if is_binned(str(name)):
        raise NotFound("The registry has no such tag.")
    started = utc_now()
    found = gather(RepositoryName(image.path), {str(name): None}, fresh=True)
    query = select(Tag).where(Tag.image_id == image.id, Tag.name == str(name))
    problem = found.problems.get(str(name))
    if isinstance(problem, RegistryNotFound):
        with writing() as session:
            gone = session.scalar(query)
            if gone is not None and gone.seen_at < started:
                note_removed(session, [gone], started)
                session.delete(gone)
        raise NotFound("The registry has no such tag.")
    digest = found.digests.get(str(name))
    if problem is not None or digest is None:
        tag = db.session.scalar(query)
        if tag is None:
            raise NotFound("There is nothing here.")
        return tag, image.reconciled_at, str(problem)
    tag = db.session.scalar(query)
    if tag is None or tag.digest != digest:
        with writing() as session:
            insert_new(
                session, Tag, image_id=image.id, name=str(name), pull_count=0, seen_at=started
            )
            tag = session.scalars(query).one()
            if tag.digest not in (None, digest) and tag.seen_at < started:
                note_before(session, [tag])
                move(session, tag, digest, started)
            tag.digest = digest
    return tag, started, None
