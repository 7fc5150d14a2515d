"""Determine from the registry whether a tag exists. A tag that can't be read counts, too."""

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

#: Timeout in seconds for retrying tags that the registry was too slow to read.
SLOW_TAGS_TIMEOUT = 5.0


class RegistryNotAnswering(AppError):
    """A rule applies and the registry does not answer, so the gate refuses the request."""

    status = 503
    code = "UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("the registry does not tell the gate whether the tag exists: try again")


class TagState(Enum):
    """State of a tag in the registry: absent, readable, or damaged."""

    ABSENT = auto()
    READABLE = auto()
    #: The tag is listed but can't be read: its storage is damaged (PROTOCOLS "Found since").
    DAMAGED = auto()


def read_state(repository: RepositoryName, tag: TagName) -> TagState:
    """Return the state of a tag in the registry: absent, readable, or damaged.

    For a damaged tag, the registry responds with 404 as for an absent tag, or with 500 as for any
    internal error. After a 404, a tag that is not in the database is absent. Otherwise the
    registry's list of tags decides, so that an outdated database does not block the push of a tag
    that was just deleted.

    Raises:
        RegistryNotAnswering: the registry does not answer.
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
    """Return whether the database has a tag, except a removed tag that the registry still lists."""
    query = (
        select(Tag.damage)
        .join(ContainerImage, ContainerImage.id == Tag.image_id)
        .where(ContainerImage.path == str(repository), Tag.name == str(tag))
    )
    row = db.session.execute(query).first()
    end_read()
    return row is not None and row.damage != "removed"
