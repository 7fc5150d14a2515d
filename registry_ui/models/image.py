"""The index (the database's copy of the registry's tags): images, tags, and manifests.

The facts of a manifest are the data that was parsed from its JSON and from its config.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    LargeBinary,
    Select,
    String,
    Text,
    UniqueConstraint,
    select,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .base import Base, UTCDateTime, bytewise, utc_now
from .place import Project

T = TypeVar("T")


class ContainerImage(Base):
    """A repository of the registry that belongs to a project.

    ``name`` is the part of the repository name below the project's path, ``""`` for the root
    image; ``path`` is the whole repository name.
    """

    __tablename__ = "container_images"
    __table_args__ = (
        UniqueConstraint("project_id", "name"),
        Index("ix_container_images_project_id_last_push_at", "project_id", "last_push_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("places.id", ondelete="RESTRICT"))
    name: Mapped[str] = mapped_column(bytewise(255))
    path: Mapped[str] = mapped_column(bytewise(255), unique=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    tag_count: Mapped[int] = mapped_column(default=0)
    pull_count: Mapped[int] = mapped_column(default=0)
    last_pulled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_push_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_pushed_by: Mapped[str | None] = mapped_column(bytewise(255))
    #: Since when all tags are in the trash; None if there are live tags. An image without live tags
    #: is left out of lists, and its history is kept in case a tag is restored.
    emptied_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: When the index was last reconciled with the registry for this image.
    reconciled_at: Mapped[datetime | None] = mapped_column(UTCDateTime, index=True)
    reconcile_error: Mapped[str | None] = mapped_column(Text)
    #: When it became known that the worker must reconcile the image, for example by a deletion
    #: event; None if nothing is to be done.
    reconcile_requested_at: Mapped[datetime | None] = mapped_column(UTCDateTime, index=True)

    project: Mapped[Project] = relationship(lazy="raise")

    def mark_reconciled(self, started_at: datetime, request: datetime | None) -> None:
        """Record a reconcile that succeeded, and delete the request that it fulfilled.

        A request that was made after the registry was asked stays, because the answer can be older
        than the change that the request is about. The two requests differ in their times. Times
        are not compared by order, because the clocks of two machines can differ.

        Args:
            started_at: when the registry was asked.
            request: ``reconcile_requested_at`` as it was before the registry was asked.
        """
        self.reconciled_at, self.reconcile_error = started_at, None
        if self.reconcile_requested_at == request:
            self.reconcile_requested_at = None

    @classmethod
    def select_locked(cls, condition: ColumnElement[bool]) -> Select[ContainerImage]:
        """Return a query that locks images, in a fixed order, until the end of the transaction.

        A transaction that inserts, changes, or deletes tags must lock their images before the tags.
        Without the lock, two transactions could wait for each other, so that PostgreSQL cancels one
        of them; or each would store a ``tag_count`` that lacks the tags inserted by the other.

        The images are read after the lock, even if the session has loaded them before.
        """
        query = _in_locking_order(select(cls), condition)
        return query.execution_options(populate_existing=True)

    @classmethod
    def select_ids_locked(cls, condition: ColumnElement[bool]) -> Select[int]:
        """Return a query for the ids of images that locks the images as select_locked() does.

        It reads nothing else, so images that the session has loaded before can be outdated. Use it
        only if the transaction does not use the images themselves.
        """
        return _in_locking_order(select(cls.id), condition)


def _in_locking_order(query: Select[T], condition: ColumnElement[bool]) -> Select[T]:
    """Return a query that locks images, in the order in which all transactions lock them."""
    # With key_share, other transactions can still insert rows that refer to the image.
    return query.where(condition).order_by(ContainerImage.id).with_for_update(key_share=True)


class Tag(Base):
    """A tag of an image, as the registry last reported it."""

    __tablename__ = "tags"
    __table_args__ = (
        UniqueConstraint("image_id", "name"),
        Index("ix_tags_image_id_digest", "image_id", "digest"),
        Index("ix_tags_image_id_pushed_at", "image_id", "pushed_at"),
        Index("ix_tags_name", "name"),
        Index("ix_tags_pushed_at", "pushed_at"),
        Index(
            "ix_tags_image_id_damage",
            "image_id",
            "damage",
            sqlite_where=text("damage IS NOT NULL"),
            postgresql_where=text("damage IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("container_images.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(bytewise(128))
    #: None until an event or a read of the registry sets it. Indexed for search by its beginning.
    digest: Mapped[str | None] = mapped_column(bytewise(150), index=True)
    #: Time of the last push; None if it is not known. The build date is stored with the manifest.
    pushed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    pushed_by: Mapped[str | None] = mapped_column(bytewise(255))
    #: Earliest time from which the tag's age is counted: when a reconcile found a digest that no
    #: event had reported, or when the tag was restored; None if neither happened.
    age_from: Mapped[datetime | None] = mapped_column(UTCDateTime)
    pull_count: Mapped[int] = mapped_column(default=0)
    last_pulled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    seen_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    #: Why the registry lists the tag but can't read it: ``fault``, ``missing``, or ``removed``
    #: (catalog.live_tags.DAMAGES); None for a tag that can be read. ``digest`` is then the last
    #: known one, if any.
    damage: Mapped[str | None] = mapped_column(String(10))
    damaged_since: Mapped[datetime | None] = mapped_column(UTCDateTime)

    @property
    def is_damaged(self) -> bool:
        """Whether the registry lists the tag but can't read it."""
        return self.damage is not None

    def mark_damaged(self, damage: str, at: datetime) -> None:
        """Record that the registry can't read the tag.

        A tag that was removed but is still listed keeps the damage ``removed``.

        Args:
            damage: a key of catalog.live_tags.DAMAGES.
            at: when the damage was found; an earlier time is kept.
        """
        if self.damage != "removed":
            self.damage = damage
        self.damaged_since = self.damaged_since or at

    def mark_readable(self) -> None:
        """Record that the registry can read the tag again."""
        self.damage = self.damaged_since = None

    image: Mapped[ContainerImage] = relationship(lazy="raise")


class Manifest(Base):
    """A manifest and its facts, by digest. The body was verified against the digest.

    ``facts`` is what registry_ui.distribution.manifest parsed from the body. Before showing facts,
    a caller must find the digest in a repository that the signed-in user is allowed to see. Old
    rows that no tag and no repository refers to are deleted (jobs/pruning.py).
    """

    __tablename__ = "manifests"
    __table_args__ = (Index("ix_manifests_facts_version_kind", "facts_version", "kind"),)

    digest: Mapped[str] = mapped_column(bytewise(150), primary_key=True)
    media_type: Mapped[str] = mapped_column(String(255))
    kind: Mapped[str] = mapped_column(String(20))
    #: Total size of config and layers in bytes; None for an OCI index, whose platforms have sizes.
    size: Mapped[int | None] = mapped_column(BigInteger)
    built_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    has_config: Mapped[bool] = mapped_column(default=False)
    #: Digest of the config, which docker calls the image ID.
    config_digest: Mapped[str | None] = mapped_column(bytewise(150), index=True)
    #: Not loaded with the row, because ``body`` and ``config`` can have up to 4 MiB each.
    body: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    config: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    #: Facts parsed from the config. Not loaded with the row, because they contain long lists.
    config_facts: Mapped[dict[str, Any] | None] = mapped_column(JSON, deferred=True)
    #: Version of the parser of the facts; older facts are parsed again (manifests/refresh.py).
    facts_version: Mapped[int] = mapped_column(default=0, server_default="0")
    fetched_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)


class RepositoryManifest(Base):
    """Proof that an image's repository contains a manifest, because it was read from there.

    The digest of a tag needs no proof. A child of an OCI index does, because its author can list
    any digest, including one from a repository that they are not allowed to see.
    """

    __tablename__ = "held_manifests"

    image_id: Mapped[int] = mapped_column(
        ForeignKey("container_images.id", ondelete="CASCADE"), primary_key=True
    )
    digest: Mapped[str] = mapped_column(bytewise(150), primary_key=True, index=True)


class TagHistoryEntry(Base):
    """One entry in the history of a tag: what happened to it, and when.

    Kept as long as the image, because events are deleted earlier. The action ``found`` means a
    digest that no push event had reported; ``actor`` is "" if it is not known.
    """

    __tablename__ = "tag_moments"
    __table_args__ = (
        CheckConstraint(
            "action IN ('pushed', 'copied', 'restored', 'found', 'removed')", name="action"
        ),
        Index("ix_tag_moments_image_id_tag_at", "image_id", "tag", "at"),
        Index("ix_tag_moments_digest_image_id", "digest", "image_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("container_images.id", ondelete="CASCADE"))
    tag: Mapped[str] = mapped_column(bytewise(128))
    action: Mapped[str] = mapped_column(String(10))
    digest: Mapped[str] = mapped_column(bytewise(150), default="")
    actor: Mapped[str] = mapped_column(bytewise(255), default="")
    at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    #: Reference that the tag was copied from; "" for every other action.
    source: Mapped[str] = mapped_column(bytewise(400), default="")


class AttachedDocument(Base):
    """Content of an SBOM or an attestation, read once from the image's repository and verified.

    There is one row for each repository that it was read from, so knowing a digest gives no
    access to it in another repository. ``kind`` is sbom, provenance, statement, or
    unreadable.
    """

    __tablename__ = "attached_documents"

    image_id: Mapped[int] = mapped_column(
        ForeignKey("container_images.id", ondelete="CASCADE"), primary_key=True
    )
    digest: Mapped[str] = mapped_column(bytewise(150), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    summary: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    #: Packages of an SBOM, each as name, version, type, and license. Not loaded with the row,
    #: because there can be thousands.
    packages: Mapped[list[list[str]] | None] = mapped_column(JSON, deferred=True)
    read_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)


class UnassignedRepository(Base):
    """A repository of the registry that no project owns."""

    __tablename__ = "unassigned_repositories"

    path: Mapped[str] = mapped_column(bytewise(255), primary_key=True)
    first_seen_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    last_push_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    pushed_by: Mapped[str | None] = mapped_column(bytewise(255))
    tag_count: Mapped[int | None]
