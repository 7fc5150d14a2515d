"""Fences: where pushes and deletions are stopped for a while.

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


def downgrade() -> None:
    op.drop_table("fences")
