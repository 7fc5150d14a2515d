"""The index: container images, their tags, and facts of manifests by digest."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .base import Base, UTCDateTime, bytewise, utc_now
from .place import Project


class ContainerImage(Base):
    """A repository of the registry that belongs to a project.

    ``name`` is what follows the project's path, ``""`` for the root image;
    ``path`` is the whole repository name.
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
    #: Since when all its tags are in the bin. Nothing lists it then; its history stays for
    #: a tag that is restored.
    emptied_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: When the registry's own answer was last compared with the index.
    reconciled_at: Mapped[datetime | None] = mapped_column(UTCDateTime, index=True)
    reconcile_error: Mapped[str | None] = mapped_column(Text)
    #: An event spoke of a deletion: the worker asks the registry whether it is so.
    reconcile_wanted: Mapped[bool] = mapped_column(default=False, index=True)

    project: Mapped[Project] = relationship(lazy="raise")


class Tag(Base):
    """A tag of an image as last heard from the registry."""

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
    #: None until an event or a read tells it. Searched for by its beginning.
    digest: Mapped[str | None] = mapped_column(bytewise(150), index=True)
    #: Only where an event told us; a build date is a fact of the image, not of the tag.
    pushed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    pushed_by: Mapped[str | None] = mapped_column(bytewise(255))
    #: Its age counts from no earlier than this: when a check found what no event had told, or
    #: when it was restored.
    age_from: Mapped[datetime | None] = mapped_column(UTCDateTime)
    pull_count: Mapped[int] = mapped_column(default=0)
    last_pulled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    seen_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    #: Why the registry lists it but can't read it: ``fault``, ``missing`` or ``removed``
    #: (catalog.live_tags.DAMAGES); None for a tag that can be read. ``digest`` is what it
    #: stood for before, if that is known.
    damage: Mapped[str | None] = mapped_column(String(10))
    damaged_since: Mapped[datetime | None] = mapped_column(UTCDateTime)

    @property
    def is_damaged(self) -> bool:
        """Whether the registry lists it and can't read it."""
        return self.damage is not None

    def mark_damaged(self, damage: str, at: datetime) -> None:
        """Note that it can't be read; a removed tag that is still listed stays one."""
        if self.damage != "removed":
            self.damage = damage
        self.damaged_since = self.damaged_since or at

    def mark_readable(self) -> None:
        """Note that it can be read again."""
        self.damage = self.damaged_since = None

    image: Mapped[ContainerImage] = relationship(lazy="raise")


class Manifest(Base):
    """Facts by digest: immutable, verified against the digest, kept for ever.

    ``facts`` is what registry_ui.distribution.manifest read from body and config.
    Whoever shows them has first found the digest in a repository that the reader may see.
    """

    __tablename__ = "manifests"
    __table_args__ = (Index("ix_manifests_facts_version_kind", "facts_version", "kind"),)

    digest: Mapped[str] = mapped_column(bytewise(150), primary_key=True)
    media_type: Mapped[str] = mapped_column(String(255))
    kind: Mapped[str] = mapped_column(String(20))
    #: Bytes of config and layers together; None for an index, whose platforms have sizes.
    size: Mapped[int | None] = mapped_column(BigInteger)
    built_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    has_config: Mapped[bool] = mapped_column(default=False)
    #: What docker calls the image ID.
    config_digest: Mapped[str | None] = mapped_column(bytewise(150), index=True)
    #: Up to 4 MiB each, and read only by the page of one tag.
    body: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    config: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    #: What was read from the config, once; long lists as well, so not with every row of a table.
    config_facts: Mapped[dict[str, Any] | None] = mapped_column(JSON, deferred=True)
    #: The version of the code that read the facts (manifests/refresh.py).
    facts_version: Mapped[int] = mapped_column(default=0, server_default="0")
    fetched_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)


class RepositoryManifest(Base):
    """Proof that an image's repository holds a manifest: it was read from there.

    A tag's own digest needs none. A child of an index does: whoever writes an index may
    name any digest, also one of a repository that they may not see.
    """

    __tablename__ = "held_manifests"

    image_id: Mapped[int] = mapped_column(
        ForeignKey("container_images.id", ondelete="CASCADE"), primary_key=True
    )
    digest: Mapped[str] = mapped_column(bytewise(150), primary_key=True, index=True)


class TagHistoryEntry(Base):
    """A tag was pushed, copied, restored, found to stand for something, or removed, and when.

    Kept as long as the image, since events are not. ``found`` is what no push told;
    ``actor`` is "" where nobody said who it was.
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
    #: The reference that it was copied from; "" for everything else.
    source: Mapped[str] = mapped_column(bytewise(400), default="")


class AttachedDocument(Base):
    """What an SBOM or an attestation says: read once from the image's repository, verified.

    One row for each repository that it was read from: whoever names its digest elsewhere
    learns nothing of it. ``kind`` is sbom, provenance, statement or unreadable.
    """

    __tablename__ = "attached_documents"

    image_id: Mapped[int] = mapped_column(
        ForeignKey("container_images.id", ondelete="CASCADE"), primary_key=True
    )
    digest: Mapped[str] = mapped_column(bytewise(150), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    summary: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    #: Of an SBOM: name, version, type and licence of each. Thousands: only their own page asks.
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
