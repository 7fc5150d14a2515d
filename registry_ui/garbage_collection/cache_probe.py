"""Finds out whether the registry goes on believing in blobs that were collected.

With a cache of blob descriptors it does until it is restarted: clients are told that a layer
is there and do not push it, and a manifest is taken and not stored (docs/protocols.md,
"Found since"). So a blob that nothing needs is pushed before a collection, and asked for
after it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Self

from sqlalchemy import select

from ..db.session import db, end_read
from ..distribution.errors import RegistryError
from ..models import ContainerImage
from ..names import Digest, RepositoryName
from ..registry_connection import registry


@dataclass(frozen=True, slots=True)
class CacheProbe:
    """A blob that nothing needs, in a repository that there is."""

    repository: RepositoryName
    body: bytes

    @classmethod
    def pushed(cls) -> Self | None:
        """Push one; return None where there is no image yet, or the registry does not take it."""
        query = select(ContainerImage.path).where(ContainerImage.tag_count > 0)
        path = db.session.scalar(query.order_by(ContainerImage.id).limit(1))
        end_read()
        if path is None:
            return None
        made = cls(RepositoryName(path), secrets.token_bytes(32))
        try:
            registry().put_blob(made.repository, made.body)
        except RegistryError:
            return None
        return made

    @property
    def digest(self) -> str:
        """Its digest."""
        return str(Digest.of(self.body))

    def is_believed_in(self) -> bool:
        """Whether the registry says that it has it, now that it was collected."""
        try:
            return registry().has_blob(self.repository, Digest(self.digest))
        except RegistryError:
            return False
