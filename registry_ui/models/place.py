"""Namespaces and projects, which share one path space and one table.

One table allows one unique constraint on the path for both, and one query over the prefixes of
a repository name to find its owner.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .base import Base, UTCDateTime, bytewise, utc_now
from .user import User


class Place(Base):
    """A namespace or a project, identified by its path."""

    __tablename__ = "places"
    __table_args__ = (
        CheckConstraint("kind IN ('namespace', 'project')", name="kind"),
        CheckConstraint(
            "(kind = 'project') = (visibility IS NOT NULL)", name="visibility_of_project"
        ),
        CheckConstraint(
            "visibility IS NULL OR visibility IN ('private', 'internal', 'public')",
            name="visibility",
        ),
        CheckConstraint("owner_id IS NULL OR kind = 'namespace'", name="owner_of_namespace"),
        Index("ix_places_visibility_path", "visibility", "path"),
    )
    __mapper_args__ = {"polymorphic_on": "kind"}  # noqa: RUF012 - SQLAlchemy declares it for instances

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    path: Mapped[str] = mapped_column(bytewise(255), unique=True)
    parent_id: Mapped[int | None] = mapped_column(
        ForeignKey("places.id", ondelete="RESTRICT"), index=True
    )
    description: Mapped[str] = mapped_column(Text, default="")
    visibility: Mapped[str | None] = mapped_column(String(10))
    #: The user whose personal namespace this is; None for groups and projects.
    owner_id: Mapped[int | None] = mapped_column(
        ForeignKey("users.id", ondelete="RESTRICT"), unique=True
    )
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)

    @property
    def name(self) -> str:
        """The last segment of the path."""
        return self.path.rpartition("/")[2]


class Namespace(Place):
    """A group, or a user's personal namespace. It can contain namespaces and projects."""

    __mapper_args__ = {"polymorphic_identity": "namespace"}  # noqa: RUF012 - SQLAlchemy declares it for instances

    @property
    def is_personal(self) -> bool:
        """Whether this is the personal namespace of a user."""
        return self.owner_id is not None


class Project(Place):
    """Owner of the images at and below its path. It contains no namespaces or projects."""

    __mapper_args__ = {"polymorphic_identity": "project"}  # noqa: RUF012 - SQLAlchemy declares it for instances


class Membership(Base):
    """A role of a user in a namespace or project, inherited by everything below it."""

    __tablename__ = "memberships"
    __table_args__ = (
        UniqueConstraint("user_id", "place_id"),
        CheckConstraint("role IN (10, 20, 30, 40, 50)", name="role"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    place_id: Mapped[int] = mapped_column(ForeignKey("places.id", ondelete="CASCADE"), index=True)
    #: A value of access.Role: 10 Guest, 20 Reporter, 30 Developer, 40 Maintainer, 50 Owner.
    role: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)

    user: Mapped[User] = relationship(lazy="raise")
    place: Mapped[Place] = relationship(lazy="raise")
