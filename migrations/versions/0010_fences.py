"""Fences, where pushes and deletions are stopped for a while, and garbage collections.

Revision ID: 0010
Revises: 0009
Create Date: 2026-11-25

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def name(length: int) -> sa.types.TypeEngine[str]:
    """A string that compares by bytes: names and tags are case-sensitive."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "fences",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("path", name(255), nullable=False),
        sa.Column("reason", sa.String(length=10), nullable=False),
        sa.Column("set_at", MOMENT, nullable=False),
        sa.Column("quiet_at", MOMENT, nullable=False),
        sa.CheckConstraint("reason IN ('collection', 'move')", name=op.f("ck_fences_reason")),
        sa.PrimaryKeyConstraint("id", name="pk_fences"),
        sa.UniqueConstraint("path", name="uq_fences_path"),
    )
    op.create_table(
        "collections",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=True),
        sa.Column("requested_by", sa.String(length=255), nullable=False),
        sa.Column("fence_id", sa.Integer(), nullable=True),
        sa.Column("quiet_at", MOMENT, nullable=True),
        sa.Column("cancel_wanted", sa.Boolean(), nullable=False),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("lease_owner", sa.String(length=32), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("collector_started_at", MOMENT, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("marked", sa.Integer(), nullable=False),
        sa.Column("blobs", sa.Integer(), nullable=True),
        sa.Column("freed", sa.BigInteger(), nullable=True),
        sa.Column("unmeasured", sa.Integer(), nullable=False),
        sa.Column("output", sa.Text(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "state IN ('waiting', 'draining', 'running', 'done', 'failed', 'cancelled')",
            name=op.f("ck_collections_state"),
        ),
        sa.CheckConstraint("slot = 1", name=op.f("ck_collections_slot")),
        sa.ForeignKeyConstraint(
            ["fence_id"],
            ["fences.id"],
            name="fk_collections_fence_id_fences",
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_collections"),
        sa.UniqueConstraint("slot", name="uq_collections_slot"),
    )


def downgrade() -> None:
    op.drop_table("collections")
    op.drop_table("fences")
