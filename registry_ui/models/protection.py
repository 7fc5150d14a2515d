"""Protection of tags: the rules of projects, pushes under way, and what got past the rules."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, bytewise, utc_now


class ProtectionRule(Base):
    """A rule of a project about tags, by globs (registry_ui/patterns/glob.py).

    An immutable tag may be created, never overwritten or deleted; a protected one is
    pushed and deleted from ``minimum_role`` on.
    """

    __tablename__ = "protection_rules"
    __table_args__ = (
        CheckConstraint("kind IN ('immutable', 'protected')", name="kind"),
        CheckConstraint(
            "(kind = 'protected') = (minimum_role IS NOT NULL)", name="role_of_protected"
        ),
        CheckConstraint("minimum_role IS NULL OR minimum_role IN (40, 50)", name="minimum_role"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    place_id: Mapped[int] = mapped_column(ForeignKey("places.id", ondelete="CASCADE"), index=True)
    image_pattern: Mapped[str] = mapped_column(bytewise(1000))
    tag_pattern: Mapped[str] = mapped_column(bytewise(1000))
    kind: Mapped[str] = mapped_column(String(10))
    #: A value of access.Role: 40 Maintainer, 50 Owner.
    minimum_role: Mapped[int | None]
    #: Of immutable tags: signatures and the like can be added, by overwriting the tags that
    #: hold them.
    open_to_signatures: Mapped[bool] = mapped_column(default=False)
    created_by: Mapped[str] = mapped_column(bytewise(255))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)


class TagClaim(Base):
    """Who is pushing a new immutable tag at this moment, by the bearer token of the push."""

    __tablename__ = "tag_claims"

    repository: Mapped[str] = mapped_column(bytewise(255), primary_key=True)
    tag: Mapped[str] = mapped_column(bytewise(128), primary_key=True)
    subject: Mapped[str] = mapped_column(bytewise(255))
    #: The ``jti`` of the bearer token.
    token_id: Mapped[str] = mapped_column(String(64))
    until: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    #: Another user or deploy token was refused because of it.
    contested: Mapped[bool] = mapped_column(default=False)
    #: Subjects whose claims kept others waiting without a push, and until when (seconds since
    #: 1970) they let others go first.
    waits: Mapped[dict[str, float]] = mapped_column(JSON, default=dict)


class ProtectionViolation(Base):
    """A tag that was changed against a rule: the gate was not asked, or was not there."""

    __tablename__ = "protection_violations"
    __table_args__ = (
        CheckConstraint("what IN ('overwritten', 'deleted', 'pushed')", name="what"),
        Index("ix_protection_violations_place_id_at", "place_id", "at"),
        Index("ix_protection_violations_repository_tag_at", "repository", "tag", "at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    place_id: Mapped[int] = mapped_column(ForeignKey("places.id", ondelete="CASCADE"))
    repository: Mapped[str] = mapped_column(bytewise(255))
    tag: Mapped[str] = mapped_column(bytewise(128))
    what: Mapped[str] = mapped_column(String(11))
    #: "" where nobody told.
    actor: Mapped[str] = mapped_column(bytewise(255))
    at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
