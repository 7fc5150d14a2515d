"""Tags that the registry lists and can't read, and since when.

Revision ID: 0016
Revises: 0015
Create Date: 2026-11-30

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

DAMAGED = sa.text("damage IS NOT NULL")


def upgrade() -> None:
    op.add_column("tags", sa.Column("damage", sa.String(length=10), nullable=True))
    op.add_column("tags", sa.Column("damaged_since", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_tags_image_id_damage",
        "tags",
        ["image_id", "damage"],
        sqlite_where=DAMAGED,
        postgresql_where=DAMAGED,
    )


def downgrade() -> None:
    op.drop_index("ix_tags_image_id_damage", table_name="tags")
    with op.batch_alter_table("tags") as batch:
        batch.drop_column("damaged_since")
        batch.drop_column("damage")
