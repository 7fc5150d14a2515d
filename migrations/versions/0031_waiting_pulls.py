"""Pulls by digest that wait until the tags of their image are read.

Revision ID: 0031
Revises: 0030
Create Date: 2026-11-30

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "waiting_pulls",
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column(
            "digest",
            sa.String(150).with_variant(sa.String(150, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"],
            ["container_images.id"],
            name="fk_waiting_pulls_image_id_container_images",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("image_id", "digest", name="pk_waiting_pulls"),
    )
    op.create_index("ix_waiting_pulls_digest", "waiting_pulls", ["digest"])


def downgrade() -> None:
    op.drop_index("ix_waiting_pulls_digest", "waiting_pulls")
    op.drop_table("waiting_pulls")
