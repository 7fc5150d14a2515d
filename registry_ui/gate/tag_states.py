"""Whether a tag exists, asked of the registry: one that can't be read exists, too."""

from __future__ import annotations

from enum import Enum, auto

from sqlalchemy import select

from ..catalog.live_tags import read_tags
from ..db.session import db, end_read
from ..distribution.errors import RegistryError, RegistryFault, RegistryNotFound
from ..errors import AppError
from ..models import ContainerImage, Tag
from ..names import RepositoryName, TagName
from ..registry_connection import registry

#: Timeout in seconds for asking again for tags that the registry is slow to read.
SLOW_TAGS_TIMEOUT = 5.0


class RegistryNotAnswering(AppError):
    """A rule applies, and the registry does not say what it has: nothing passes."""

    status = 503
    code = "UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("the registry does not tell the gate whether the tag exists: try again")


class TagState(Enum):
    """What the registry has of a tag."""

    ABSENT = auto()
    READABLE = auto()
    #: It is listed and can't be read, because its storage is damaged (PROTOCOLS "Found since").
    DAMAGED = auto()


def read_state(repository: RepositoryName, tag: TagName) -> TagState:
    """Ask the registry for a tag, and for its list where the tag may be damaged.

    A damaged tag gets 404 like an absent one, or 500 like any tag of a registry in trouble. The
    index tells the first two apart, because a new tag is not in it. A tag that was deleted, and
    whose event has not come yet, is not listed: so a stale index holds up nobody.

    Raises:
        RegistrySilent: it can't be asked.
    """
    try:
        registry().head(repository, tag)
    except RegistryNotFound:
        if not _is_indexed(repository, tag):
            return TagState.ABSENT
    except RegistryFault:
        pass
    except RegistryError:
        raise RegistryNotAnswering from None
    else:
        return TagState.READABLE
    try:
        live = read_tags(repository, [str(tag)], slow_timeout=SLOW_TAGS_TIMEOUT)
        live.require_answers()
    except RegistryError:
        raise RegistryNotAnswering from None
    if str(tag) in live.damaged:
        return TagState.DAMAGED
    return TagState.READABLE if str(tag) in live.digests else TagState.ABSENT


def _is_indexed(repository: RepositoryName, tag: TagName) -> bool:
    """Whether the index has a tag. One that was removed, and is still listed, is free."""
    query = (
        select(Tag.damage)
        .join(ContainerImage, ContainerImage.id == Tag.image_id)
        .where(ContainerImage.path == str(repository), Tag.name == str(tag))
    )
    row = db.session.execute(query).first()
    end_read()
    return row is not None and row.damage != "removed"
