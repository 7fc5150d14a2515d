"""A path on its way to another one: the move, its repositories, and the old name afterwards."""

from __future__ import annotations

from datetime import datetime
from typing import Any

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

#: A worker has it, or will; in this order.
ACTIVE = ("waiting", "copying", "fenced", "settling", "verifying", "undoing", "retiring")
#: Nobody else may have the new path, and the old one is where it always was.
BEFORE_SWITCH = ("waiting", "copying", "fenced", "settling", "verifying", "undoing", "failed")
#: The move is under way to the switch, and can be called off.
CANCELLABLE = ("planned", "waiting", "copying", "fenced", "settling", "verifying", "failed")


class Move(Stallable, Base):
    """A namespace, a project or an image that gets another path, with all its repositories.

    Before the switch (``switched_at``) it can be cancelled. In *grace* the old path can still
    be pulled; ``grace_until`` is None where it stays until somebody decides. ``problem`` says
    why it stopped, or what holds it back.
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
    #: What moves; of an image, the project that it leaves.
    place_id: Mapped[int | None] = mapped_column(ForeignKey("places.id", ondelete="SET NULL"))
    #: Of an image, the project that it goes to.
    new_project_id: Mapped[int | None] = mapped_column(ForeignKey("places.id", ondelete="SET NULL"))
    state: Mapped[str] = mapped_column(String(10), default="planned")
    preview: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    #: What the new path has no more may go at the old one too: somebody saw the list.
    retire_all: Mapped[bool] = mapped_column(default=False)
    switched_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    grace_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: When the old name is compared again with what was moved; None: at the next reconcile.
    compare_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    @property
    def is_active(self) -> bool:
        """Whether a worker has it, or will."""
        return self.state in ACTIVE

    @property
    def is_cancellable(self) -> bool:
        """Whether it can be called off: nothing was switched yet."""
        return self.state in CANCELLABLE and not self.cancel_wanted


class MovedRepository(Base):
    """One repository of a move: where from, where to, and how far it is."""

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
    #: The new name was found empty: what is there since is ours.
    begun: Mapped[bool] = mapped_column(default=False)
    tag_count: Mapped[int] = mapped_column(default=0)
    #: Tags that were gone through, of those.
    done: Mapped[int] = mapped_column(default=0)
    #: The last tag, in byte order, that the present phase has finished: the next worker
    #: continues behind it. Empty at the start of each phase.
    last_tag: Mapped[str] = mapped_column(bytewise(128), default="")
    #: The oldest entry of the tag history whose digest was copied; None before the first.
    oldest_moment_id: Mapped[int | None]
    detail: Mapped[str] = mapped_column(Text, default="")
    #: The removal that empties one of the two names.
    removal_id: Mapped[int | None] = mapped_column(ForeignKey("removals.id", ondelete="SET NULL"))


def _of_one_repository() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["move_id", "number"],
        ["moved_repositories.move_id", "moved_repositories.number"],
        ondelete="CASCADE",
    )


class CopiedTag(Base):
    """A digest that a tag of the new path was pushed with by a move, or is about to be.

    Any other digest under that tag was pushed by someone else.
    """

    __tablename__ = "copied_tags"
    __table_args__ = (_of_one_repository(),)

    move_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tag: Mapped[str] = mapped_column(bytewise(128), primary_key=True)
    digest: Mapped[str] = mapped_column(bytewise(150), primary_key=True)
    #: The tag had this digest under both names at the switch.
    verified: Mapped[bool] = mapped_column(default=False)


class UnmovedTag(Base):
    """A tag that stays at the old path because it can't be copied, and the reason for people.

    ``digest`` is empty if it is not known.
    """

    __tablename__ = "unmoved_tags"
    __table_args__ = (_of_one_repository(),)

    move_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tag: Mapped[str] = mapped_column(bytewise(128), primary_key=True)
    digest: Mapped[str] = mapped_column(bytewise(150), default="")
    reason: Mapped[str] = mapped_column(Text)


class CopiedManifest(Base):
    """A manifest that the new path holds with everything below it.

    ``manifests`` are the digests of that and its own, children first. Kept until the
    repository is settled, so that a large index is not copied from its start again.
    """

    __tablename__ = "copied_manifests"
    __table_args__ = (_of_one_repository(),)

    move_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    digest: Mapped[str] = mapped_column(bytewise(150), primary_key=True)
    manifests: Mapped[list[str]] = mapped_column(JSON)


class OldPath(Base):
    """An old name that can still be pulled, and by which nobody pushes any more.

    It covers everything below it too, unless ``exact``, as of an image. ``now`` follows
    every later move. ``stopped`` names the repositories that are not served any more, a line
    each: somebody wrote to them after the move.
    """

    __tablename__ = "former_paths"

    path: Mapped[str] = mapped_column(bytewise(255), primary_key=True)
    exact: Mapped[bool] = mapped_column(default=False)
    now: Mapped[str] = mapped_column(bytewise(255), index=True)
    until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    move_id: Mapped[int] = mapped_column(ForeignKey("moves.id", ondelete="CASCADE"), index=True)
    stopped: Mapped[str] = mapped_column(Text, default="")
