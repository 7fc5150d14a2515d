"""Probe that detects whether the registry still reports collected blobs as present.

A registry that caches blob descriptors keeps reporting deleted blobs until it is restarted: clients
then skip the upload of a deleted layer, and a pushed manifest is accepted but not stored
(docs/protocols.md, "Found since"). So an unreferenced blob, the probe, is pushed before a
collection, and requested after the collection.
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
    """An unreferenced blob of random bytes that was pushed to an existing repository."""

    repository: RepositoryName
    body: bytes

    @classmethod
    def pushed(cls) -> Self | None:
        """Push and return a new probe; None if there is no image yet, or the registry refuses."""
        query = select(ContainerImage.path).where(ContainerImage.tag_count > 0)
        path = db.session.scalar(query.order_by(ContainerImage.id).limit(1))
        end_read()
        if path is None:
            return None
        probe = cls(RepositoryName(path), secrets.token_bytes(32))
        try:
            registry().put_blob(probe.repository, probe.body)
        except RegistryError:
            return None
        return probe

    @property
    def digest(self) -> str:
        """The digest of the blob."""
        return str(Digest.of(self.body))

    def is_still_reported(self) -> bool:
        """Return whether the registry still reports the blob as present after a collection.

        Return False if the registry can't be asked.
        """
        try:
            return registry().has_blob(self.repository, Digest(self.digest))
        except RegistryError:
            return False
