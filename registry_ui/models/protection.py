"""Tag protection: the rules of projects, tag claims, and violations of the rules.

A tag claim is a short-lived lock on a new tag for a push in progress (catalog/tag_claims.py). The
gate is this application's check of pushes and deletions, which the proxy in front of the registry
asks for.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, bytewise, utc_now


class ProtectionRule(Base):
    """A rule of a project that protects tags, selected by globs (registry_ui/patterns/glob.py).

    An immutable tag can be created, but never overwritten or deleted. A protected tag can be
    pushed and deleted only with at least the role ``minimum_role``.
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
    #: Whether signatures and attestations can be added to an immutable tag, which means that the
    #: tags that hold them can be overwritten.
    open_to_signatures: Mapped[bool] = mapped_column(default=False)
    created_by: Mapped[str] = mapped_column(bytewise(255))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)


class TagClaim(Base):
    """A lock on a new tag for one push in progress, which is identified by its bearer token."""

    __tablename__ = "tag_claims"

    repository: Mapped[str] = mapped_column(bytewise(255), primary_key=True)
    tag: Mapped[str] = mapped_column(bytewise(128), primary_key=True)
    subject: Mapped[str] = mapped_column(bytewise(255))
    #: The ``jti`` of the bearer token.
    token_id: Mapped[str] = mapped_column(String(64))
    until: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    #: Whether another user or deploy token was refused because of this claim.
    contested: Mapped[bool] = mapped_column(default=False)
    #: Subjects that claimed the tag but did not push it while others waited, with the time (in
    #: seconds since 1970) until which they must let others go first.
    waits: Mapped[dict[str, float]] = mapped_column(JSON, default=dict)


class ProtectionViolation(Base):
    """A change to a tag that violated a rule, because the gate was not asked or not installed."""

    __tablename__ = "protection_violations"
    __table_args__ = (
        CheckConstraint("change IN ('overwritten', 'deleted', 'pushed')", name="change"),
        Index("ix_protection_violations_place_id_at", "place_id", "at"),
        Index("ix_protection_violations_repository_tag_at", "repository", "tag", "at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    place_id: Mapped[int] = mapped_column(ForeignKey("places.id", ondelete="CASCADE"))
    repository: Mapped[str] = mapped_column(bytewise(255))
    tag: Mapped[str] = mapped_column(bytewise(128))
    change: Mapped[str] = mapped_column(String(11))
    #: Name of the user; "" if it is not known.
    actor: Mapped[str] = mapped_column(bytewise(255))
    at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
