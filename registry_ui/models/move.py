"""Moves of a namespace, project, or image to another path, and the old path afterward.

A move copies all tags to the new path. The switch makes the new path the current one.
"""

from __future__ import annotations

from datetime import datetime
from typing import NotRequired, TypedDict

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, bytewise
from .leased import Stallable

#: States in which a worker carries out the move, or will do so.
ACTIVE = ("waiting", "copying", "fenced", "settling", "verifying", "undoing", "retiring")
#: States before the switch: the new path is reserved, and the old path is still the current one.
BEFORE_SWITCH = ("waiting", "copying", "fenced", "settling", "verifying", "undoing", "failed")
#: States in which the move can be canceled, because the switch has not happened yet.
CANCELLABLE = ("planned", "waiting", "copying", "fenced", "settling", "verifying", "failed")


class RoleChange(TypedDict):
    """A user's role before and after a move, by label; empty if the user has none."""

    username: str
    before: str
    after: str


class MovePreview(TypedDict):
    """The part of a move plan that is stored and shown to users, as JSON values.

    Attributes:
        repositories: old path, new path, and number of tags of each repository that is listed.
        repositories_more: number of repositories that are not listed.
        tags: number of tags in all repositories.
        places: number of namespaces and projects inside the namespace that moves.
        changes: role changes that are listed.
        changes_more: number of role changes that are not listed.
        visibility: visibility of an image before and after, or None if it does not change.
        notes: further effects, as sentences for users.
        unread: tags that the registry cannot read, as "repository:tag"; not in old plans.
    """

    repositories: list[list[str | int]]
    repositories_more: int
    tags: int
    places: int
    changes: list[RoleChange]
    changes_more: int
    visibility: list[str] | None
    notes: list[str]
    unread: NotRequired[list[str]]


class Move(Stallable, Base):
    """A move of a namespace, a project, or an image to another path, with all its repositories.

    Before the switch (``switched_at``), the move can be canceled. In the state ``grace``, the old
    path can still be pulled until ``grace_until`` or, if that is None, until a user deletes the
    old path. In the state ``fenced``, writes are frozen, and the move waits until no earlier token
    can push. ``problem`` says why the move stopped, or what the move waits for.
    """

    __tablename__ = "moves"
    __table_args__ = (
        CheckConstraint("kind IN ('image', 'project', 'namespace')", name="kind"),
        CheckConstraint(
            "state IN ('planned', 'waiting', 'copying', 'fenced', 'settling', 'verifying', "
            "'grace', 'retiring', 'undoing', 'done', 'failed', 'cancelled')",
            name="state",
        ),
        Index("ix_moves_state_id", "state", "id"),
        Index("ix_moves_place_id_id", "place_id", "id"),
        Index("ix_moves_new_project_id_id", "new_project_id", "id"),
        Index("ix_moves_source", "source"),
    )

    kind: Mapped[str] = mapped_column(String(10))
    source: Mapped[str] = mapped_column(bytewise(255))
    target: Mapped[str] = mapped_column(bytewise(255))
    #: The namespace or project that moves; for an image, the project that it leaves.
    place_id: Mapped[int | None] = mapped_column(ForeignKey("places.id", ondelete="SET NULL"))
    #: For an image, the project that it moves to.
    new_project_id: Mapped[int | None] = mapped_column(ForeignKey("places.id", ondelete="SET NULL"))
    state: Mapped[str] = mapped_column(String(10), default="planned")
    preview: Mapped[MovePreview] = mapped_column(JSON)
    #: Whether content of the old path is deleted even if the new path does not have it, because
    #: a user has seen the list and agreed.
    retire_all: Mapped[bool] = mapped_column(default=False)
    switched_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    grace_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: When the old path is next compared with the moved content; None if only the next reconcile of
    #: the whole registry does so.
    compare_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    @property
    def is_active(self) -> bool:
        """Whether a worker carries out the move, or will do so."""
        return self.state in ACTIVE

    @property
    def is_cancellable(self) -> bool:
        """Whether the move can be canceled, because the switch has not happened yet."""
        return self.state in CANCELLABLE and not self.cancel_wanted


class MovedRepository(Base):
    """One repository of a move: its source, its target, and its progress."""

    __tablename__ = "moved_repositories"
    __table_args__ = (
        CheckConstraint(
            "state IN ('planned', 'copied', 'settled', 'verified', 'retired', 'kept', 'undone')",
            name="state",
        ),
    )

    move_id: Mapped[int] = mapped_column(
        ForeignKey("moves.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    source: Mapped[str] = mapped_column(bytewise(255))
    target: Mapped[str] = mapped_column(bytewise(255))
    state: Mapped[str] = mapped_column(String(10), default="planned")
    #: Whether copying has begun. The target must be empty before that; tags found there later can
    #: come from this move.
    begun: Mapped[bool] = mapped_column(default=False)
    tag_count: Mapped[int] = mapped_column(default=0)
    #: Number of tags processed so far, out of ``tag_count``.
    done: Mapped[int] = mapped_column(default=0)
    #: Last tag, in byte order, that the current phase has finished; the next worker continues
    #: after it. Empty at the start of each phase.
    last_tag: Mapped[str] = mapped_column(bytewise(128), default="")
    #: ID of the oldest tag history entry whose digest was copied; None before the first one.
    oldest_moment_id: Mapped[int | None]
    detail: Mapped[str] = mapped_column(Text, default="")
    #: The removal that empties the source or the target of this row.
    removal_id: Mapped[int | None] = mapped_column(ForeignKey("removals.id", ondelete="SET NULL"))


def _moved_repository_key() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["move_id", "number"],
        ["moved_repositories.move_id", "moved_repositories.number"],
        ondelete="CASCADE",
    )


class CopiedTag(Base):
    """A digest that a move has pushed, or is about to push, to a tag of the new path.

    Any other digest under that tag was pushed by someone else.
    """

    __tablename__ = "copied_tags"
    __table_args__ = (_moved_repository_key(),)

    move_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tag: Mapped[str] = mapped_column(bytewise(128), primary_key=True)
    digest: Mapped[str] = mapped_column(bytewise(150), primary_key=True)
    #: Whether the tag had this digest at both paths at the time of the switch.
    verified: Mapped[bool] = mapped_column(default=False)


class UnmovedTag(Base):
    """A tag that stays at the old path because it can't be copied, and the reason to display.

    ``digest`` is empty if it is not known.
    """

    __tablename__ = "unmoved_tags"
    __table_args__ = (_moved_repository_key(),)

    move_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tag: Mapped[str] = mapped_column(bytewise(128), primary_key=True)
    digest: Mapped[str] = mapped_column(bytewise(150), default="")
    reason: Mapped[str] = mapped_column(Text)


class CopiedManifest(Base):
    """A manifest that a move has copied to the new path, with all blobs and child manifests.

    ``manifests`` are the digests of the children and its own, children first. The row is kept until
    the repository is ``settled``, so that an interrupted copy of a large OCI index can continue.
    """

    __tablename__ = "copied_manifests"
    __table_args__ = (_moved_repository_key(),)

    move_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    digest: Mapped[str] = mapped_column(bytewise(150), primary_key=True)
    manifests: Mapped[list[str]] = mapped_column(JSON)


class OldPath(Base):
    """An old path after a move: clients can still pull from it, but not push to it.

    It covers all paths below it too, unless it is ``exact``, as for an image. ``new_path`` is the
    current path and follows every later move. ``stopped`` lists the repositories, one per line,
    that are no longer served because they were changed after the move.
    """

    __tablename__ = "old_paths"

    path: Mapped[str] = mapped_column(bytewise(255), primary_key=True)
    exact: Mapped[bool] = mapped_column(default=False)
    new_path: Mapped[str] = mapped_column(bytewise(255), index=True)
    until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    move_id: Mapped[int] = mapped_column(ForeignKey("moves.id", ondelete="CASCADE"), index=True)
    stopped: Mapped[str] = mapped_column(Text, default="")
